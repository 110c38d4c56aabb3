"""Services that are no PACS, or a bad one: each gets a sentence, and nothing is believed."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dicom_files import ORIENTATIONS, write_series

from data.errors import PacsError
from data.io.dicomweb import Pacs, PacsSeries

STUDY = {
    "0020000D": {"vr": "UI", "Value": ["1.2"]},
    "00100020": {"vr": "LO", "Value": ["P1"]},
    "00080050": {"vr": "SH", "Value": ["A17"]},
}
SERIES = {"0020000E": {"vr": "UI", "Value": ["1.2.3"]}, "00080060": {"vr": "CS", "Value": ["MR"]}}
ONE = PacsSeries("1.2", "1.2.3", "P1", "A17", "unknown", "MR", "T1", 1)


@pytest.fixture
def service():
    """Its address, and a dictionary to put the answers to studies, series and everything else into."""
    answers: dict[str, tuple[str, bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.split("?")[0].rstrip("/")
            key = path.rsplit("/", 1)[-1] if self.command == "GET" else "store"
            kind, body = answers.get(key, answers.get("", ("text/html", b"<p>hello</p>")))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    server.server_close()


def told(value):
    return "application/dicom+json", json.dumps(value).encode()


@pytest.mark.parametrize("url", ["ftp://x", "x", "http://[::1", "http://x:port"])
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(PacsError, match="is no web address"):
        Pacs(url)


def test_a_service_that_ignores_pages_is_not_asked_for_ever(service):
    url, answers = service
    answers |= {"studies": told([STUDY] * 100), "series": told([SERIES] * 100)}
    (found,) = Pacs(url).series(patient="P1")
    assert (found.patient, found.accession, found.modality) == ("P1", "A17", "MR")


@pytest.mark.parametrize("asked", [{"patient": "P2"}, {"patient": "P1", "accession": "A18"}])
def test_a_service_that_ignores_the_question_is_not_believed(service, asked):
    url, answers = service
    answers |= {"studies": told([STUDY]), "series": told([SERIES])}
    with pytest.raises(PacsError, match="cannot be trusted"):
        Pacs(url).series(**asked)


@pytest.mark.parametrize("answer", [["text"], [{"0020000D": None}], [7], {"a": 1}, None])
def test_an_answer_that_is_no_dicom_is_one_sentence(service, answer):
    url, answers = service
    answers[""] = told(answer)
    with pytest.raises(
        PacsError, match=r"does not answer as DICOMweb does|holds no CT|cannot be trusted"
    ):
        Pacs(url).series(patient="P1")


@pytest.mark.parametrize(
    "answer",
    [
        ("application/dicom+json", b"{}"),
        ("multipart/related; type=application/dicom; boundary=x", b"--x\r\n\r\nnothing\r\n--x--"),
        ("multipart/related; type=application/dicom", b"nothing"),
    ],
)
def test_images_that_are_none_are_one_sentence(service, tmp_path, answer):
    url, answers = service
    answers[""] = answer
    with pytest.raises(PacsError, match=url):
        Pacs(url).pull(ONE, tmp_path / "images")


@pytest.mark.parametrize(
    "answer", [("text/html", b"<p>ok</p>"), told({}), told([]), ("application/dicom+json", b"")]
)
def test_a_file_counts_as_kept_only_when_the_service_says_so(service, tmp_path, answer):
    url, answers = service
    answers["store"] = answer
    path = write_series(tmp_path / "s", ORIENTATIONS["axial"]) / "0.dcm"
    with pytest.raises(PacsError, match=url):
        Pacs(url).push([path])
