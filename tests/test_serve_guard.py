import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from lib_instantas.serve.guard import LoopbackOnly
from lib_instantas.serve.head import complete

LOCAL = "127.0.0.1:7870"


async def page(request):
    return PlainTextResponse("page")


async def echo(socket):
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


@pytest.fixture
def client():
    return TestClient(LoopbackOnly(Starlette(routes=[Route("/", page), WebSocketRoute("/queue", echo)])))


@pytest.mark.parametrize("host", [LOCAL, "localhost:7870", "[::1]:7870", "localhost"])
def test_this_machines_own_pages_are_served(client, host):
    assert client.get("/", headers={"host": host}).text == "page"
    assert client.get("/", headers={"host": host, "origin": f"http://{host}"}).text == "page"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": LOCAL, "origin": "https://evil.example"},
        {"host": LOCAL, "origin": "null"},
        {"host": LOCAL, "origin": "http://127.0.0.1:9999"},
        {"host": ""},
    ],
)
def test_other_names_and_other_sites_are_refused(client, headers):
    assert client.get("/", headers=headers).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/queue", headers=headers):
        pass


def test_a_websocket_of_the_own_page_is_let_through(client):
    with client.websocket_connect("/queue", headers={"host": LOCAL, "origin": f"http://{LOCAL}"}) as socket:
        assert socket.receive_text() == "hello"


def test_the_page_loads_nothing_from_the_network():
    given = (
        b'<head><link rel="preconnect" href="https://fonts.gstatic.com" crossorigin="anonymous" />'
        b'<script src="https://cdn.example/a.js"\n async></script><script>window.kept = "http://x"</script></head>'
    )
    page = complete(given)
    assert b"gstatic" not in page
    assert b"cdn.example" not in page
    assert b"window.kept" in page
    assert b"javascript/instantas.js" in page


def test_a_long_step_does_not_run_into_a_time_limit_of_gradios_queue():
    """Gradio 3.41 asks itself by a bare request through a client with default settings: httpx must not add its 5 s."""
    seen = []
    transport = httpx.MockTransport(lambda request: seen.append(request.extensions) or httpx.Response(200))
    with httpx.Client(transport=transport) as client:
        client.send(httpx.Request("POST", "http://localhost/api/predict"))
    assert "timeout" not in seen[0]
