"""Fetch a file into the cache: pinned checksum, several mirrors, interrupted transfers resumed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from chainrule.data.progress import Progress
from chainrule.errors import DataError

TIMEOUT = (10, 30)  # seconds to connect, and between two packets
BLOCK = 2**17
STALLS = 2  # transfers in a row that bring nothing before the next mirror is tried


def cache_folder() -> Path:
    """Where downloads are kept: CHAINRULE_CACHE, else the system's folder for caches."""
    import pooch

    return Path(os.environ.get("CHAINRULE_CACHE") or pooch.os_cache("chainrule"))


def fetch(
    name: str, md5: str | None, urls: Sequence[str], folder: Path, progress: Progress | None = None
) -> Path:
    """The path of the file `name` in `folder`, downloaded first if it is not there already.

    urls: where to find it, tried in order. md5: what it must be, whoever delivers it; None: not
    known.
    A transfer that breaks off leaves NAME.part, and goes on from there, also in the next run.
    Raises DataError with the reason of each mirror if none delivers the file.
    """
    import pooch
    from requests import RequestException  # pooch depends on it

    pooch.get_logger().setLevel("WARNING")
    download = _ResumingDownload(folder / f"{name}.part", name, progress)
    checksum = None if md5 is None else f"md5:{md5}"
    reasons = []
    for url in urls:
        try:
            return Path(pooch.retrieve(url, checksum, name, folder, downloader=download))
        except RequestException as error:
            reasons.append(f"{url}: {_short(error)}")
        except ValueError:  # pooch's word for a wrong checksum
            reasons.append(f"{url}: wrong content (checksum)")
        except OSError as error:
            raise DataError(
                f"download: cannot write {folder / name}: {error.strerror or error}; "
                "make room, or name another folder in CHAINRULE_CACHE"
            ) from error
    raise DataError(f"download: no mirror delivered {name}\n  " + "\n  ".join(reasons))


def _short(error: Exception) -> str:
    text = str(error)
    for sign, meaning in (
        ("NameResolution", "no network or unknown host"),
        ("timed out", "timed out"),
        ("refused", "connection refused"),
        ("Network is unreachable", "no network"),
    ):
        if sign in text:
            return meaning
    return text.split("\n")[0][:200]


class _ResumingDownload:
    """What pooch calls to fill `output_file`. Bytes gather in `part`, which outlives a failure."""

    def __init__(self, part: Path, name: str, progress: Progress | None) -> None:
        self.part, self.stage, self.progress = part, f"download {name}", progress

    def __call__(self, url: str, output_file: str, _: object) -> None:
        from requests import HTTPError, RequestException

        stalls = 0
        while True:
            before = self._size()
            try:
                self._transfer(url, before)
                os.replace(self.part, output_file)
                return
            except HTTPError:  # an answer, only not the file: asking again changes nothing
                raise
            except RequestException:
                stalls = 0 if self._size() > before else stalls + 1
                if stalls == STALLS:
                    raise

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _transfer(self, url: str, have: int) -> None:
        """Append to `part` what is missing after the first `have` bytes."""
        import requests

        # identity: a .gz file must arrive as it is, and byte ranges must count its own bytes.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:  # nothing after `have`: the part is whole, or wrong
                whole = response.headers.get("Content-Range", "").rpartition("/")[2]
                if whole != str(have):
                    self.part.unlink()
                    raise requests.ConnectionError("the partial file is longer than the file")
                return
            response.raise_for_status()
            if response.status_code != 206:  # the server does not do ranges: from the beginning
                have = 0
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise requests.HTTPError("the server sent another range than asked for")
            total = have + int(response.headers.get("Content-Length", 0))
            with open(self.part, "ab" if have else "wb") as part:
                for block in response.iter_content(BLOCK):
                    part.write(block)
                    have += len(block)
                    if self.progress:
                        self.progress(self.stage, have, total)
        if have < total:
            raise requests.ConnectionError("the transfer broke off")
