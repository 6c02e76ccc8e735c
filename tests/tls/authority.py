"""Certificates for the tests of TLS, made by openssl: an authority, its servers and clients."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """Signs what it is asked to, in a folder of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / name
        self._folder.mkdir()
        self.certificate, self._key = self._folder / "root.crt", self._folder / "root.key"
        _openssl(
            "req", "-x509", *_KEY, "-keyout", self._key, "-out", self.certificate,
            "-subj", f"/CN={name}", "-days", "30",
        )  # fmt: skip

    def sign(self, name: str, *, alternative: str, first: str = "", last: str = "") -> Pair:
        """Return a pair whose certificate is valid from `first` to `last` (YYYYMMDDHHMMSSZ)."""
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        request, index = self._folder / f"{name}.csr", self._folder / "index"
        index.write_text("")
        _openssl("req", "-new", *_KEY, "-keyout", pair.key, "-out", request, "-subj", f"/CN={name}")
        settings = self._folder / "ca.cnf"
        settings.write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={index}\nnew_certs_dir={self._folder}\n"
            f"rand_serial=yes\ndefault_md=sha256\npolicy=any\nx509_extensions=names\n"
            f"default_days=30\n[any]\ncommonName=supplied\n"
            f"[names]\nsubjectAltName={alternative}\n"
        )
        dates = ("-startdate", first, "-enddate", last) if first else ()
        _openssl(
            "ca", "-batch", "-notext", "-config", settings, "-cert", self.certificate,
            "-keyfile", self._key, "-in", request, "-out", pair.certificate, *dates,
        )  # fmt: skip
        return pair


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
