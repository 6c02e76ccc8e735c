// The users API on Fastify and pg: schemas for what comes in and goes out, prepared statements.

import cors from "@fastify/cors";
import Ajv from "ajv";
import Fastify from "fastify";
import pg from "pg";

pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: Number(process.env.DB_POOL_SIZE ?? 10),
});

const COLUMNS = "id, username, email, first_name, last_name, age, is_active, created_at, updated_at";
const FIND = { name: "find", text: `SELECT ${COLUMNS} FROM users WHERE id = $1` };
const PAGE = { name: "page", text: `SELECT ${COLUMNS} FROM users WHERE id > $1 ORDER BY id LIMIT $2` };
const ADD = {
  name: "add",
  text:
    "INSERT INTO users (username, email, first_name, last_name, age) VALUES ($1, $2, $3, $4, $5)" +
    ` ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`,
};
const NAMED = { name: "named", text: "SELECT id FROM users WHERE username = $1" };

const text = (maxLength) => ({ type: "string", maxLength });
const textOrNull = (maxLength) => ({ type: ["string", "null"], maxLength });
const newUser = {
  type: "object",
  required: ["username", "email"],
  properties: {
    username: text(80),
    email: text(120),
    first_name: textOrNull(50),
    last_name: textOrNull(50),
    age: { type: ["integer", "null"], minimum: -(2 ** 31), maximum: 2 ** 31 - 1 },
  },
};
const pageQuery = {
  type: "object",
  properties: {
    limit: { type: "integer", minimum: 1, maximum: 100, default: 20 },
    after: { type: "integer", minimum: 0, default: 0 },
  },
};
const user = {
  type: "object",
  properties: {
    age: { type: "integer", nullable: true },
    created_at: { type: "string" },
    email: { type: "string" },
    first_name: { type: "string", nullable: true },
    id: { type: "integer" },
    is_active: { type: "boolean" },
    last_name: { type: "string", nullable: true },
    updated_at: { type: "string" },
    username: { type: "string" },
  },
};
const envelope = (data) => ({
  type: "object",
  properties: { data, message: { type: "string" }, success: { type: "boolean" } },
});
const words = { type: "object", additionalProperties: { type: "string" } };

const success = (data, message = "Success") => ({ data, message, success: true });
const refusal = (message) => ({ message, success: false });

function published(row) {
  row.created_at = row.created_at.toUTCString();
  row.updated_at = row.updated_at.toUTCString();
  return row;
}

const REASONS = {
  type: (params) =>
    [params.type].flat().includes("integer") ? "Must be an integer" : "Must be a string",
  maxLength: (params) => `Must be at most ${params.limit} characters`,
  minimum: (params) => `Must be at least ${params.limit}`,
  maximum: (params) => `Must be at most ${params.limit}`,
};

function refuse(error, request, reply) {
  if (error.validation) {
    const missing = error.validation.find((each) => each.keyword === "required");
    if (missing) {
      return reply.code(400).send(refusal(`Field '${missing.params.missingProperty}' is required`));
    }
    const errors = Object.fromEntries(
      error.validation.map((each) => [each.instancePath.slice(1), REASONS[each.keyword](each.params)]),
    );
    return reply.code(422).send({ errors, ...refusal("Validation failed") });
  }
  if (error.statusCode === 400) {
    return reply.code(400).send(refusal("Request body is not valid JSON"));
  }
  return reply.code(error.statusCode ?? 500).send(refusal("Internal server error"));
}

async function api(app) {
  app.get("/health", { schema: { response: { 200: envelope(words) } } }, async () =>
    success({ status: "healthy" }),
  );
  app.get("/", { schema: { response: { 200: envelope(words) } } }, async () =>
    success({ message: "Welcome to user-service" }),
  );

  app.get(
    "/users/page",
    { schema: { querystring: pageQuery, response: { 200: envelope({ type: "array", items: user }) } } },
    async (request, reply) => {
      const { limit, after } = request.query;
      const { rows } = await pool.query({ ...PAGE, values: [after, limit + 1] });
      if (rows.length > limit) {
        rows.pop();
        const next = `/api/v1/users/page?limit=${limit}&after=${rows.at(-1).id}`;
        reply.header("Link", `<${next}>; rel="next"`);
      }
      return success(rows.map(published));
    },
  );

  app.get(
    "/users/:id(^\\d+$)",
    { schema: { response: { 200: envelope(user) } } },
    async (request, reply) => {
      const id = Number(request.params.id);
      const { rows } = Number.isSafeInteger(id)
        ? await pool.query({ ...FIND, values: [id] })
        : { rows: [] };
      if (rows.length === 0) {
        return reply.code(404).send(refusal("User not found"));
      }
      return success(published(rows[0]));
    },
  );

  app.post(
    "/users",
    { schema: { body: newUser, response: { 201: envelope(user) } } },
    async (request, reply) => {
      const { username, email, first_name, last_name, age } = request.body;
      const values = [username, email, first_name, last_name, age];
      const { rows } = await pool.query({ ...ADD, values });
      if (rows.length === 0) {
        const named = await pool.query({ ...NAMED, values: [username] });
        const field = named.rows.length ? "Username" : "Email";
        return reply.code(400).send(refusal(`${field} already exists`));
      }
      return reply.code(201).send(success(published(rows[0]), "User created successfully"));
    },
  );
}

const app = Fastify();
const strict = new Ajv({ allErrors: true, allowUnionTypes: true });
const coercing = new Ajv({ coerceTypes: true, useDefaults: true });
app.setValidatorCompiler(({ schema, httpPart }) =>
  (httpPart === "body" ? strict : coercing).compile(schema),
);
app.setErrorHandler(refuse);
app.setNotFoundHandler((request, reply) => reply.code(404).send(refusal("Endpoint not found")));
await app.register(cors, { origin: "*" });
await app.register(api, { prefix: "/api/v1" });
await app.listen({ host: "127.0.0.1", port: Number(process.env.SERVICE_PORT) });

process.on("SIGTERM", async () => {
  await app.close();
  await pool.end();
});
