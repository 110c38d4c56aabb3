"""One avatar as one file: a zip of its document, reviews, volumes and tables, signed by who wrote it.

The manifest names each member's sha256, and the signature (Ed25519) is over the manifest. Members are stored as
they are, so that a small file cannot grow when it is read.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import select

from data.avatar import Avatar
from data.errors import StoreError
from data.files import private_text, written_whole
from data.provenance import versions_of
from data.review import ReviewEntry
from data.store.inventory import File, named_files
from data.store.schema import AvatarRow, ReviewRow
from data.store.store import AvatarStore

MANIFEST, SIGNATURE, AVATAR, REVIEWS = "manifest.json", "signature", "avatar.json", "reviews.json"
FORMAT = 1
MOST_BYTES = 1 << 30
"""Of one member."""
EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The time of all members, so that the same avatar is the same file."""
_MEMBER = re.compile(
    r"(avatar|reviews)\.json|(volumes/[0-9a-f]{64}\.nii\.gz)|(tables/[0-9a-f]{64}\.parquet)"
)


class Manifest(BaseModel):
    """What a bundle holds.

    Args:
        members: sha256 by name.
        key: the signer's public key, hex.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    patient_id: str
    members: dict[str, str]
    versions: dict[str, str]
    key: str

    @property
    def signer(self) -> str:
        """Fingerprint of the key, for people to compare."""
        return fingerprint(bytes.fromhex(self.key))


@dataclass(frozen=True)
class Signer:
    """A private key, kept in a file that only its owner reads."""

    key: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """The public key's 32 bytes."""
        return self.key.public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> str:
        """Of the public key."""
        return fingerprint(self.public)


def fingerprint(public: bytes) -> str:
    """The first 32 hex digits of a public key's sha256, in fours."""
    digits = hashlib.sha256(public).hexdigest()[:32]
    return "-".join(digits[n : n + 4] for n in range(0, 32, 4))


def read_signer(path: Path) -> Signer:
    """A key, made when it is first needed.

    Raises:
        StoreError: the file is no key, or cannot be written.
    """
    try:
        text = private_text(path, lambda: Ed25519PrivateKey.generate().private_bytes_raw().hex())
        return Signer(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text)))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: is no signing key ({error}); move it away to have a new one made"
        ) from error


def write_bundle(store: AvatarStore, patient_id: str, path: Path, signer: Signer) -> Manifest:
    """An avatar with all that it needs, as one file.

    Raises:
        StoreError: there is no such avatar, a file of it is damaged, or the bundle cannot be written.
    """
    document = store.get(patient_id).to_json()
    with store.database.reading() as session:
        rows = session.scalars(
            select(ReviewRow)
            .where(ReviewRow.patient_id == patient_id)
            .order_by(ReviewRow.day, ReviewRow.number)
        ).all()
        for row in rows:
            store.require_unchanged(row)
        entries = [{"day": r.day, "number": r.number, "entry": json.loads(r.text)} for r in rows]
    needed = {f: None for part in (json.loads(document), entries) for f in named_files(store, part)}
    texts = {AVATAR: document.encode(), REVIEWS: json.dumps(entries).encode()}
    members = {name: hashlib.sha256(content).hexdigest() for name, content in texts.items()}
    members |= {_member(file): file.sha256 for file in needed}
    manifest = Manifest(
        format=FORMAT, patient_id=patient_id, members=dict(sorted(members.items())),
        versions=versions_of("cancer-avatars"), key=signer.public.hex(),
    )  # fmt: skip
    told = manifest.model_dump_json(indent=1).encode()
    try:
        with written_whole(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            _add(archive, MANIFEST, told)
            _add(archive, SIGNATURE, signer.key.sign(told))
            for name, content in texts.items():
                _add(archive, name, content)
            for file in needed:
                _add(archive, _member(file), file.blobs.read(file.sha256))
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror})") from error
    return manifest


def _member(file: File) -> str:
    return f"{file.blobs.folder.name}/{file.sha256}{file.blobs.suffix}"


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, EARLIEST), content)


def read_manifest(path: Path) -> Manifest:
    """What a bundle says that it holds, once its signature is found to be the key's.

    Raises:
        StoreError: it is no bundle, or was changed.
    """
    with _opened(path) as archive:
        return _manifest(path, archive)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise StoreError(
            f"{path}: is no bundle of an avatar ({error}); have it sent again"
        ) from error


def _manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    content = _read(path, archive, MANIFEST)
    try:
        manifest = Manifest.model_validate_json(content)
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(manifest.key))
        public.verify(_read(path, archive, SIGNATURE), content)
    except InvalidSignature as error:
        raise _changed(path, "the signature is not that of its manifest") from error
    except (ValidationError, ValueError) as error:
        raise StoreError(f"{path}: is a bundle of another version; use that one") from error
    if manifest.format != FORMAT:
        raise StoreError(
            f"{path}: is a bundle of format {manifest.format}, not {FORMAT}; use that version"
        )
    return manifest


def _changed(path: Path, what: str) -> StoreError:
    return StoreError(f"{path}: {what}; the bundle was damaged or changed, have it sent again")


def _read(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        told = archive.getinfo(name)
        if told.compress_type != zipfile.ZIP_STORED or told.file_size > MOST_BYTES:
            raise _changed(path, f"{name} is packed as no bundle is")
        return archive.read(name)
    except (KeyError, OSError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise _changed(path, f"{name} is missing or damaged") from error


def read_bundle(
    store: AvatarStore, path: Path, *, trusted: frozenset[str], replace: bool = False
) -> Manifest:
    """Keep a bundle's avatar with all of its files, after all of it was checked.

    Args:
        store: that takes it.
        path: by :func:`write_bundle`.
        trusted: fingerprints of keys whose bundles are taken.
        replace: an avatar of the same patient that is another one.

    Raises:
        StoreError: it was changed, somebody unknown signed it, or another avatar is in its place.
    """
    with _opened(path) as archive:
        manifest = _manifest(path, archive)
        if manifest.signer not in trusted:
            raise StoreError(
                f"{path}: is signed by {manifest.signer}, whom you do not know; compare that with what the "
                f"sender tells you, then give --trust {manifest.signer}"
            )
        texts, files = {}, []
        for name, digest in manifest.members.items():
            content = _read(path, archive, name)
            is_named = _MEMBER.fullmatch(name) and (name in (AVATAR, REVIEWS) or digest in name)
            if not is_named or hashlib.sha256(content).hexdigest() != digest:
                raise _changed(path, f"{name} is not what was signed")
            if name in (AVATAR, REVIEWS):
                texts[name] = content.decode()
            else:
                files.append(name)
        try:
            document = texts[AVATAR]
            avatar, entries = Avatar.from_json(document), json.loads(texts[REVIEWS])
        except (KeyError, ValidationError, ValueError) as error:
            raise StoreError(
                f"{path}: its avatar was written by another version; use that one"
            ) from error
        if avatar.patient_id != manifest.patient_id:
            raise _changed(path, "the avatar is of another patient than was signed")
        try:
            rows = [*_review_rows(manifest.patient_id, entries)]
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{path}: its reviews were written by another version; use that one"
            ) from error
        named = [*named_files(store, json.loads(document)), *named_files(store, entries)]
        if lacking := {_member(file) for file in named} - set(files):
            raise _changed(path, f"{min(lacking)} is missing")
        mine = AvatarRow(patient_id=avatar.patient_id, text=document).sealed()
        for name in files:
            blobs = (
                store.volumes if name.startswith(f"{store.volumes.folder.name}/") else store.tables
            )
            blobs.put(_read(path, archive, name))
    _write(store, path, mine, rows, replace=replace)
    return manifest


def _review_rows(patient_id: str, entries: list[dict[str, Any]]) -> Iterator[ReviewRow]:
    for told in entries:
        ReviewEntry.model_validate(told["entry"])
        row = ReviewRow(
            patient_id=patient_id, day=str(told["day"]), number=int(told["number"]),
            text=json.dumps(told["entry"], separators=(",", ":"), ensure_ascii=False),
        )  # fmt: skip
        row.sealed()
        yield row


def _write(
    store: AvatarStore, path: Path, avatar: AvatarRow, rows: list[ReviewRow], *, replace: bool
) -> None:
    """In one transaction; entries that are there already must be the same ones, and of the same avatar."""
    with store.database.writing() as session:
        present = session.get(AvatarRow, avatar.patient_id)
        if present is not None and present.sha256 != avatar.sha256:
            if not replace:
                raise StoreError(
                    f"{store.folder}: has another avatar of {avatar.patient_id}; --replace takes the bundle's"
                )
            own = select(ReviewRow).where(ReviewRow.patient_id == avatar.patient_id)
            if {row.key for row in session.scalars(own)} - {row.key for row in rows}:
                raise StoreError(
                    f"{store.folder}: its avatar of {avatar.patient_id} was reviewed here, which is not of the "
                    "bundle's masks. Take the bundle into a store of its own"
                )
        store.database.keep(session, avatar)
        for row in rows:
            known = session.get(ReviewRow, row.key)
            if known is not None and json.loads(known.text) != json.loads(row.text):
                raise StoreError(
                    f"{path}: the {row.name} is another one in {store.folder}: both were reviewed apart. "
                    "Take the bundle into a store of its own"
                )
            if known is None:
                session.add(row)
