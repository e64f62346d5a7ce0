"""What makes a picture a 360° panorama to viewers: the photo sphere's entries in its XMP metadata.

Source: Photo Sphere XMP Metadata (https://developers.google.com/streetview/spherical-metadata), namespace GPano. XMP
lies in a PNG under the keyword of its specification (part 3, "PNG"), in a JPEG in an APP1 segment (part 3, "JPEG").
"""

from __future__ import annotations

from lib_instantas.tiling import Size

XMP_KEY = "XML:com.adobe.xmp"
"""Keyword of the text in a PNG."""

APP1_NAME = b"http://ns.adobe.com/xap/1.0/\0"

SEGMENTS_BEFORE = (0xE0, 0xE1)
"""APP0 and APP1: what a JPEG may say before its XMP."""


def is_sphere(size: Size, closed: tuple[bool, bool]) -> bool:
    """Whether a picture (height, width) that is `closed` on its (vertical, horizontal) axis goes all the way around.

    An equirectangular picture is twice as wide as high, and meets itself at the left and the right only.
    """
    return closed == (False, True) and size[1] == 2 * size[0]


def sphere_xmp(size: Size) -> str:
    """The XMP packet of an equirectangular picture of (height, width) pixels that shows everything around.

    It begins with a byte order mark, as packets do: a text outside Latin-1 is what Pillow writes as an iTXt chunk, the
    kind that readers look for.
    """
    height, width = size
    entries = {
        "ProjectionType": "equirectangular",
        "UsePanoramaViewer": "True",
        "FullPanoWidthPixels": width,
        "FullPanoHeightPixels": height,
        "CroppedAreaImageWidthPixels": width,
        "CroppedAreaImageHeightPixels": height,
        "CroppedAreaLeftPixels": 0,
        "CroppedAreaTopPixels": 0,
        "PoseHeadingDegrees": 0,
    }
    attributes = " ".join(f'GPano:{name}="{value}"' for name, value in entries.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" {attributes}/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )


def jpeg_with_xmp(jpeg: bytes, xmp: str) -> bytes:
    """A JPEG file with an XMP packet behind what else it says at its beginning.

    Raises ValueError for what is no JPEG.
    """
    if jpeg[:2] != b"\xff\xd8":
        raise ValueError("not a JPEG: it does not begin with FF D8")
    place = 2
    while jpeg[place] == 0xFF and jpeg[place + 1] in SEGMENTS_BEFORE:
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    content = APP1_NAME + xmp.encode("utf-8")
    segment = b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content
    return jpeg[:place] + segment + jpeg[place:]
