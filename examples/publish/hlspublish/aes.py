"""AES-128-CBC with PKCS#7 padding, which is HLS's `METHOD=AES-128` (RFC 8216 section 4.3.2.4).

In this process: the `openssl` and `ffmpeg` commands take a key as an argument, where every user of the machine can read it,
and FFmpeg 5.1 does not encrypt fMP4 segments.
"""
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY_LENGTH = 16
BLOCK = 16


def encrypt(key: bytes, iv: bytes, plain: bytes) -> bytes:
    pad, cipher = padding.PKCS7(BLOCK * 8).padder(), _cipher(key, iv).encryptor()
    return cipher.update(pad.update(plain) + pad.finalize()) + cipher.finalize()


def decrypt(key: bytes, iv: bytes, secret: bytes) -> bytes:
    """Errors: `ValueError` if the padding is wrong, so for a wrong key too (nearly always)."""
    unpad, cipher = padding.PKCS7(BLOCK * 8).unpadder(), _cipher(key, iv).decryptor()
    return unpad.update(cipher.update(secret) + cipher.finalize()) + unpad.finalize()


def sequence_iv(number: int) -> bytes:
    """The IV of a segment whose playlist names none: its media sequence number, big-endian (section 5.2)."""
    return number.to_bytes(BLOCK, "big")


def _cipher(key: bytes, iv: bytes) -> Cipher:
    if len(key) != KEY_LENGTH or len(iv) != BLOCK:
        raise ValueError(f"an AES-128 key has {KEY_LENGTH} bytes and its IV {BLOCK}")
    return Cipher(algorithms.AES(key), modes.CBC(iv))
