"""Code tables and check rules of registers, as data with their source."""

from collections.abc import Mapping

#: НСИ ГИС ЖКХ № 95 «Документ, удостоверяющий личность»: code -> name. Source: the dictionary as the schema of
#: urn:dom.gosuslugi.ru/debt-requests/1.0.0 lists it (state at version 1.0.0 of the вид сведений; it may grow, which is
#: why the check is a switch).
NSI95_IDENTITY_DOCUMENTS: Mapping[int, str] = {
    1: "Паспорт гражданина Российской Федерации",
    2: "Паспорт гражданина СССР",
    3: "Паспорт гражданина иностранного государства",
    4: "Общегражданский заграничный паспорт",
    5: "Заграничный паспорт Министерства морского флота",
    6: "Дипломатический паспорт",
    7: "Паспорт моряка (удостоверение личности моряка)",
    8: "Военный билет военнослужащего",
    9: "Временное удостоверение, выданное взамен военного билета",
    10: "Удостоверение личности офицера Министерства обороны Российской Федерации, Министерства внутренних дел "
    "Российской Федерации и других воинских формирований с приложением справки о прописке (регистрации) Ф-33",
    11: "Свидетельство о рождении",
    12: "Свидетельство о рассмотрении ходатайства о признании беженцем на территории Российской Федерации по существу",
    13: "Вид на жительство иностранного гражданина или лица без гражданства",
    14: "Справка об освобождении из мест лишения свободы",
    15: "Временное удостоверение личности гражданина Российской Федерации",
    16: "Удостоверение вынужденного переселенца",
    17: "Разрешение на временное проживание в Российской Федерации",
    18: "Удостоверение беженца в Российской Федерации",
    19: "Свидетельство о рассмотрении ходатайства о признании лица вынужденным переселенцем",
    20: "Свидетельство о предоставлении временного убежища на территории Российской Федерации",
    21: "Иные документы, предусмотренные законодательством Российской Федерации или признаваемые в соответствии с "
    "международным договором Российской Федерации в качестве документов, удостоверяющих личность",
    22: "Загранпаспорт гражданина бывшего СССР",
}

#: Numbers up to 001-001-998 were issued before the checksum was introduced.
_LAST_SNILS_WITHOUT_CHECKSUM = 1_001_998


def snils_checksum_holds(snils: str) -> bool:
    """Tell whether the last two of eleven digits are the checksum of the first nine.

    The sum of digits times their place from the right, modulo 101, with 100 written as 00 (the Pension Fund's rule,
    order on the form of the insurance certificate). Numbers up to 001-001-998 have no checksum: always true for them.
    """
    number, checksum = snils[:9], int(snils[9:])
    if int(number) <= _LAST_SNILS_WITHOUT_CHECKSUM:
        return True
    total = sum(int(digit) * weight for digit, weight in zip(number, range(9, 0, -1), strict=True))
    return checksum == total % 101 % 100
