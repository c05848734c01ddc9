"""The checks and the normal forms that schemas/redaction.json names.

The rules:

1. A check gives how many characters of the candidate are the value, from its start; 0 where it is none. So a pattern
   may be greedy, and the check cuts back what does not belong to it.
2. A normal form makes the spellings of one value equal, so that one customer has one token. It never raises.
3. Everything here is pure, and takes time linear in a candidate, which the patterns bound.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from auditlog import resources

Check = Callable[[str], int]
Normal = Callable[[str], str]

_IMAGES = frozenset("png jpg jpeg gif svg webp".split())
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_MONTH_SPELLINGS = {"mär": 3, "mai": 5, "okt": 10, "dez": 12, "ock": 10}
_DIHEDRAL = (
    "0123456789 1234067895 2340178956 3401289567 4012395678 5987604321 6598710432 7659821043 8765932104 9876543210"
).split()
_PERMUTED = "0123456789 1576283094 5803796142 8916043527 9453126870 4286573901 2793806415 7046913258".split()
_ODD_PLACES: dict[str, int] = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        [
            int(n)
            for n in "1 0 5 7 9 13 15 17 19 21 1 0 5 7 9 13 15 17 19 21 2 4 18 20 11 3 6 8 12 14 16 10 22 25 24 23".split()
        ],
        strict=True,
    )
)


@cache
def schema() -> Mapping[str, Any]:
    """Read schemas/redaction.json, once."""
    return resources.schema("redaction")


def digits(text: str) -> str:
    """Give the digits of a text."""
    return "".join(character for character in text if "0" <= character <= "9")


def luhn(number: str) -> bool:
    """Say whether digits pass Luhn's checksum."""
    total = 0
    for position, character in enumerate(reversed(number)):
        value = ord(character) - 48
        total += value if position % 2 == 0 else (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)[value]
    return total % 10 == 0


def email(text: str) -> int:
    """Refuse names of images and addresses of version control."""
    name, _, domain = text.replace("%40", "@").partition("@")
    if domain.rpartition(".")[2].lower() in _IMAGES or name == "git":
        return 0
    return len(text) if len(text) <= 320 else 0


def card(text: str) -> int:
    """Take a number with a prefix and a length that belong together, and Luhn's checksum."""
    if "." in text and not re.fullmatch(r"\d{4}\.\d{4}\.\d{4}\.\d{1,7}", text):
        return 0
    number = digits(text)
    known = any(
        len(number) in lengths and low <= number[: len(low)] <= high for low, high, lengths in _cards()
    )
    return len(text) if known and len(set(number)) > 1 and luhn(number) else 0


@cache
def _cards() -> tuple[tuple[str, str, frozenset[int]], ...]:
    found = []
    for prefix, lengths in schema()["card_prefixes"]:
        low, _, high = prefix.partition("-")
        found.append((low, high or low, frozenset(lengths)))
    return tuple(found)


def iban(text: str) -> int:
    """Take as many characters as the country's account numbers have, if their checksum is right."""
    wanted = schema()["iban_lengths"].get(text[:2].upper(), 0)
    taken = ""
    for position, character in enumerate(text):
        if character.isalnum():
            taken += character.upper()
        if len(taken) == wanted and wanted:
            turned = "".join(str(int(c, 36)) for c in taken[4:] + taken[:4])
            rest = text[position + 1 : position + 2]
            return position + 1 if int(turned) % 97 == 1 and not rest.isalnum() else 0
    return 0


def aba(text: str) -> int:
    """Check a routing number of a US bank."""
    total = sum(int(digit) * weight for digit, weight in zip(text, (3, 7, 1) * 3, strict=False))
    return len(text) if total % 10 == 0 and text != "0" * 9 else 0


def phone(text: str) -> int:
    """Take 7 to 15 digits that are no date."""
    number = digits(text)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{4}", text) or len(set(number)) < 3:
        return 0
    # One dot is a decimal point.
    if text.count(".") == 1 and not re.search(r"[ ()/-]", text):
        return 0
    return len(text) if 7 <= len(number) <= 15 else 0


def ssn(text: str) -> int:
    """Refuse what no US social security number can be."""
    number = digits(text)
    bad = number[:3] in ("000", "666") or number[0] == "9" or number[3:5] == "00" or number[5:] == "0000"
    return 0 if bad or len(number) != 9 else len(text)


def nino(text: str) -> int:
    """Refuse the prefixes that no UK national insurance number has."""
    return 0 if text[:2].upper() in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ") else len(text)


def de_tax_id(text: str) -> int:
    """Check a German tax identification number: ISO 7064 (mod 11, 10), and one digit that comes twice or thrice."""
    number = digits(text)
    product = 10
    for digit in number[:-1]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    most = max(number[:-1].count(digit) for digit in set(number[:-1]))
    return len(text) if (11 - product) % 10 == int(number[-1]) and most in (2, 3) else 0


def fr_nir(text: str) -> int:
    """Check a French social security number."""
    number = "".join(text.split()).replace("2A", "19").replace("2B", "18")
    return len(text) if 97 - int(number[:-2]) % 97 == int(number[-2:]) else 0


def es_dni(text: str) -> int:
    """Check the letter of a Spanish DNI or NIE."""
    number = text[:-1].rstrip("-").replace("X", "0").replace("Y", "1").replace("Z", "2")
    return len(text) if "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[-1] else 0


def it_codice_fiscale(text: str) -> int:
    """Check the letter of an Italian tax code."""
    code = text.upper()
    even = (int(c) if c.isdigit() else ord(c) - 65 for c in code[1:15:2])
    total = sum(_ODD_PLACES[c] for c in code[:15:2]) + sum(even)
    return len(text) if chr(65 + total % 26) == code[15] else 0


def br_cpf(text: str) -> int:
    """Check the two digits of a Brazilian CPF."""
    number = digits(text)
    for count in (9, 10):
        total = sum(int(digit) * (count + 1 - place) for place, digit in enumerate(number[:count]))
        if total * 10 % 11 % 10 != int(number[count]):
            return 0
    return len(text) if len(set(number)) > 1 else 0


def verhoeff(text: str) -> int:
    """Check Verhoeff's digit, which an Indian Aadhaar number has."""
    state = 0
    for place, digit in enumerate(reversed(digits(text))):
        state = int(_DIHEDRAL[state][int(_PERMUTED[place % 8][int(digit)])])
    return 0 if state else len(text)


def ean13(text: str) -> int:
    """Check the last digit as an EAN-13 has it, as a Swiss AHV number does."""
    number = digits(text)
    return 0 if sum(int(d) * (1, 3)[i % 2] for i, d in enumerate(number)) % 10 else len(text)


def mostly_digits(text: str) -> int:
    """Refuse words."""
    return len(text) if len(digits(text)) >= 5 else 0


def birth_date(text: str) -> int:
    """Take a date on which a living person can have been born."""
    found = re.search(r"\d{4}", text)
    if found is None:
        return len(text)
    return len(text) if 1900 <= int(found[0]) <= dt.datetime.now(dt.UTC).year else 0


def key(text: str) -> int:
    """Take what has digits and letters, as made by chance, and not words with hyphens."""
    return len(text) if len(digits(text)) >= 3 and re.search(r"[A-Za-z]", text) else 0


def secret(text: str) -> int:
    """Take what nobody would write as a word: letters with digits or signs inside, or digits alone."""
    value = text.rstrip(".:!?")
    if "://" in value or value.count("*") > 2 or value.startswith(("$", "[", "%")):
        return 0
    strange = re.search(r"\d|[^\w.\-'’/]", value)
    return len(text) if strange or (value != value.lower() and value[1:] != value[1:].lower()) else 0


def jwt(text: str) -> int:
    """Take what begins with a header."""
    head = text.partition(".")[0]
    try:
        decoded = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
    except (ValueError, binascii.Error):
        return 0
    return len(text) if decoded.startswith(b"{") and (b'"alg"' in decoded or b'"typ"' in decoded) else 0


def ip(text: str) -> int:
    """Take an address that means one machine."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return 0
    return 0 if address.is_unspecified or address.is_loopback else len(text)


_ALL = (aba, birth_date, br_cpf, card, de_tax_id, ean13, email, es_dni, fr_nir, iban, ip, it_codice_fiscale)
_MORE = (jwt, key, mostly_digits, nino, phone, secret, ssn, verhoeff)
CHECKS: Mapping[str, Check] = {check.__name__: check for check in (*_ALL, *_MORE)}
"""Every check by the name that schemas/redaction.json gives it."""


def normal_email(text: str) -> str:
    """Give an address in lower case, without percent-encoding."""
    import urllib.parse

    return (urllib.parse.unquote(text) if "%" in text else text).lower()


def upper_alnum(text: str) -> str:
    """Give letters and digits, in upper case."""
    return "".join(character for character in text if character.isalnum()).upper()


def normal_phone(text: str) -> str:
    """Give the digits; a country's 00 and the North American 1 before ten digits say nothing more."""
    number = digits(text)
    number = number.removeprefix("00")
    return number[1:] if len(number) == 11 and number[0] == "1" else number


def words(text: str) -> str:
    """Give the words of a text, without case and punctuation."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def date(text: str) -> str:
    """Give a date as year, month and day where it says which is which; else as it is, without spaces."""
    year = re.search(r"\d{4}", text)
    numbers = re.findall(r"\d+", text)
    if year is None:
        return "".join(text.lower().split())
    for word in re.findall(r"[^\W\d_]{3,}", text.lower()):
        month = _MONTH_SPELLINGS.get(word[:3]) or (word[:3] in _MONTHS and _MONTHS.index(word[:3]) + 1)
        days = [number for number in numbers if len(number) < 3]
        if month and days:
            return f"{year[0]}-{month:02}-{int(days[0]):02}"
    if year.start() == 0 and len(numbers) == 3:
        return "-".join((numbers[0], numbers[1].zfill(2), numbers[2].zfill(2)))
    return "-".join(number.zfill(2) for number in numbers)


NORMALS: Mapping[str, Normal] = {
    "date": date,
    "digits": digits,
    "email": normal_email,
    "lower": str.lower,
    "no_spaces": lambda text: "".join(text.split()),
    "none": str.strip,
    "phone": normal_phone,
    "upper_alnum": upper_alnum,
    "words": words,
}
"""Every normal form by the name that schemas/redaction.json gives it."""
