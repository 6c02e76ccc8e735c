-- Run by the container of PostgreSQL when it fills a new volume: the role that owns the database and
-- migrates it. `migrate` makes one for each service, with rights on the tables of that service alone.
\set password `cat /run/secrets/owner_password`
CREATE ROLE fleet LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE fleet OWNER fleet;
