"""Content hashes of faces, which are made from the content hash of the image."""

import hashlib

FIRST_FACE = "0"


def face_key(key: bytes, face: str) -> bytes:
    """Return the key of one of several faces in an image, by the key of the image.

    Parameters
    ----------
    key : bytes
        The key of the image.
    face : str
        Number of the face, such as ``"0"``.
    """
    return hashlib.blake2b(key + b"face " + face.encode(), digest_size=16).digest()


def hex_face_key(key: str, face: str) -> str:
    """Return the hexadecimal key of a face, or an empty text if the image's key is no hash."""
    try:
        return face_key(bytes.fromhex(key), face).hex()
    except ValueError:
        return ""


def is_same_image(one: str, other: str) -> bool:
    """Return whether two hexadecimal keys are of one image, or of it and of its first face.

    Examples
    --------
    >>> face = hex_face_key("0a", FIRST_FACE)
    >>> is_same_image("0a", face), is_same_image(face, "0a"), is_same_image("0a", "0b")
    (True, True, False)
    """
    return (
        one == other
        or other == hex_face_key(one, FIRST_FACE)
        or (one == hex_face_key(other, FIRST_FACE))
    )
