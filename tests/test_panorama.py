"""What makes a picture a 360° panorama to viewers, read back by readers of their own."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lib_instantas.panorama import XMP_KEY, is_sphere, jpeg_with_xmp, sphere_xmp

SIZE = (128, 256)
GPANO = "{http://ns.google.com/photos/1.0/panorama/}"


def entries(xmp: str) -> dict[str, str]:
    """The GPano entries of a packet, by an XML parser."""
    packet = ElementTree.fromstring(xmp[xmp.index("<x:xmpmeta") : xmp.index("<?xpacket end")])
    (description,) = packet.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    return {key.removeprefix(GPANO): value for key, value in description.attrib.items() if key.startswith(GPANO)}


@pytest.mark.parametrize(
    ("size", "closed", "expected"),
    [
        ((128, 256), (False, True), True),
        ((128, 256), (True, True), False),
        ((128, 256), (False, False), False),
        ((128, 255), (False, True), False),
    ],
)
def test_a_sphere_is_twice_as_wide_as_high_and_closed_to_the_sides_only(
    size: tuple[int, int], closed: tuple[bool, bool], expected: bool
) -> None:
    assert is_sphere(size, closed) is expected


def test_the_packet_says_that_the_whole_sphere_is_there() -> None:
    found = entries(sphere_xmp(SIZE))
    assert found["ProjectionType"] == "equirectangular"
    assert found["UsePanoramaViewer"] == "True"
    sides = {name: int(found[name]) for name in found if name.endswith("Pixels")}
    assert sides == {
        "FullPanoWidthPixels": 256,
        "FullPanoHeightPixels": 128,
        "CroppedAreaImageWidthPixels": 256,
        "CroppedAreaImageHeightPixels": 128,
        "CroppedAreaLeftPixels": 0,
        "CroppedAreaTopPixels": 0,
    }


def test_pillow_writes_it_into_a_png_as_readers_look_for_it() -> None:
    info, file = PngInfo(), io.BytesIO()
    info.add_text(XMP_KEY, sphere_xmp(SIZE))
    Image.new("RGB", SIZE[::-1]).save(file, "PNG", pnginfo=info)
    # iTXt: keyword, 0, not compressed, method 0, no language, no translated keyword, text.
    assert b"iTXt" + XMP_KEY.encode() + bytes(5) + sphere_xmp(SIZE).encode() in file.getvalue()


@pytest.mark.parametrize("with_exif", [False, True])
def test_a_jpeg_carries_it_behind_its_exif_and_keeps_its_pixels(with_exif: bool) -> None:
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (*SIZE, 3), dtype=np.uint8))
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x010E] = "kept"
    picture.save(file, "JPEG", **({"exif": exif} if with_exif else {}))
    before, after = (Image.open(io.BytesIO(jpeg)) for jpeg in (file.getvalue(), with_xmp(file.getvalue())))
    assert np.array_equal(np.asarray(before), np.asarray(after))
    segments = [content for name, content in after.applist if name == "APP1"]  # type: ignore[attr-defined]
    assert segments[-1] == b"http://ns.adobe.com/xap/1.0/\0" + sphere_xmp(SIZE).encode()
    assert after.getexif().get(0x010E) == ("kept" if with_exif else None)


def with_xmp(jpeg: bytes) -> bytes:
    return jpeg_with_xmp(jpeg, sphere_xmp(SIZE))


def test_what_is_no_jpeg_is_refused() -> None:
    with pytest.raises(ValueError, match="not a JPEG"):
        with_xmp(b"\x89PNG")
