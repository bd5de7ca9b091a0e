"""AES-128-CBC with PKCS#7 padding, which is HLS's `METHOD=AES-128` (RFC 8216 section 4.3.2.4).

OpenSSL's libcrypto does it, in this process: the `openssl` and `ffmpeg` commands take a key as an argument, where
every user of the machine can read it, and FFmpeg 5.1 does not encrypt fMP4 segments.
"""
import ctypes
import ctypes.util
import functools

KEY_LENGTH = 16
BLOCK = 16


def encrypt(key: bytes, iv: bytes, plain: bytes) -> bytes:
    return _cipher(key, iv, plain, encrypting=True)


def decrypt(key: bytes, iv: bytes, secret: bytes) -> bytes:
    """Errors: `ValueError` if the padding is wrong, so for a wrong key too (nearly always)."""
    return _cipher(key, iv, secret, encrypting=False)


def sequence_iv(number: int) -> bytes:
    """The IV of a segment whose playlist names none: its media sequence number, big-endian (section 5.2)."""
    return number.to_bytes(BLOCK, "big")


def _cipher(key: bytes, iv: bytes, data: bytes, encrypting: bool) -> bytes:
    if len(key) != KEY_LENGTH or len(iv) != BLOCK:
        raise ValueError(f"an AES-128 key has {KEY_LENGTH} bytes and its IV {BLOCK}")
    lib = _libcrypto()
    context = lib.EVP_CIPHER_CTX_new()
    if not context:
        raise MemoryError("libcrypto: EVP_CIPHER_CTX_new")
    try:
        out = ctypes.create_string_buffer(len(data) + BLOCK)
        written, last = ctypes.c_int(0), ctypes.c_int(0)
        done = (
            lib.EVP_CipherInit_ex(context, lib.EVP_aes_128_cbc(), None, key, iv, int(encrypting)) == 1
            and lib.EVP_CipherUpdate(context, out, ctypes.byref(written), data, len(data)) == 1
            and lib.EVP_CipherFinal_ex(context, ctypes.byref(out, written.value), ctypes.byref(last)) == 1
        )
        if not done:
            raise ValueError("libcrypto refused the data: the wrong key, or not whole blocks")
        return out.raw[: written.value + last.value]
    finally:
        lib.EVP_CIPHER_CTX_free(context)


@functools.cache
def _libcrypto() -> ctypes.CDLL:
    name = ctypes.util.find_library("crypto") or "libcrypto.so.3"
    lib = ctypes.CDLL(name)
    pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    lib.EVP_CIPHER_CTX_new.restype = pointer
    lib.EVP_aes_128_cbc.restype = pointer
    lib.EVP_CIPHER_CTX_free.argtypes = [pointer]
    lib.EVP_CIPHER_CTX_free.restype = None
    lib.EVP_CipherInit_ex.argtypes = [pointer, pointer, pointer, text, text, number]
    lib.EVP_CipherUpdate.argtypes = [pointer, pointer, pointer, text, number]
    lib.EVP_CipherFinal_ex.argtypes = [pointer, pointer, pointer]
    return lib
