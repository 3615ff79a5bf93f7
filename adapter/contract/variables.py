"""The variables that a page of a service names, in the words of the first service's description."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from adapter.services.registry import modules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from adapter.exchange import Service

Rows = tuple[tuple[str, str], ...]

_COMMON: Final[Rows] = (
    ("CA_CERT", "Сертификат центра сертификации для подключения к RabbitMQ"),
    ("CLIENT_CERT", "Сертификат для подключения к RabbitMQ"),
    ("CLIENT_KEY", "Ключ сертификата для подключения к RabbitMQ"),
    ("MQ_HOST", "Хост RabbitMQ"),
    ("MQ_PORT", "Порт RabbitMQ"),
)
_LAST: Final[Rows] = (
    ("DATABASE_HOST, DATABASE_PORT, DATABASE_NAME, DATABASE_USER, DATABASE_PASS", "Подключение к базе данных"),
    ("ELASTIC_HOST, ELASTIC_PORT, ELASTIC_METRIC_PREFIX", "Отправка метрик в Elasticsearch"),
)
_SIGNING: Final[Rows] = (
    ("SIGN_SERVICE", "Адрес сервиса подписи: ЭП-ОВ и ЭП-СП"),
    ("SIGN_TOKEN_OV, SIGN_TOKEN_SP", "Токены ключей ЭП-ОВ и ЭП-СП в сервисе подписи"),
)
_SHEP: Final[Rows] = (
    ("SHEP_SERVICES_FILE", "Реестр сервисов ШЭП; без него ШЭП выключен"),
    ("SHEP_SYNC_URL, SHEP_ASYNC_URL", "Адреса синхронного и асинхронного каналов ШЭП"),
    ("VSHEP_SYNC_URL, VSHEP_ASYNC_URL", "Адреса каналов ВШЭП, если его сервисы есть в реестре"),
    ("SHEP_SENDER_ID, SHEP_PASSWORD", "Имя и пароль отправителя в ШЭП"),
    ("SHEP_LISTEN, SHEP_PUBLIC_URL", "Где адаптер принимает обращения шлюза"),
    ("SIGN_SERVICE, SHEP_SIGN_BACKEND", "Сервис подписи и его вид: contract или ncanode"),
)
_BY_GATEWAY: Final[Mapping[str, Rows]] = {
    "smev3": (
        ("SMEV_SERVICE", "Адрес СМЭВ3 или известное имя контура"),
        ("SMEV_TRUST", "Сертификаты, которым доверяет проверка подписи СМЭВ3"),
        ("USE_PERSONAL_SIGNATURE", "Нужна ли подпись должностного лица (ЭП-СП)"),
        *_SIGNING,
    ),
    "epgu": (
        ("EPGU_ENV", "Среда ЕПГУ: SVCDEV или PROD"),
        ("EPGU_URL", "Адрес ЕПГУ или прокси, через который она доступна"),
        ("EPGU_SYSTEM", "Мнемоника информационной системы"),
        ("ESIA_API_KEYS", "API-Key: имя, идентификатор и ключ подписи"),
        *_SIGNING,
        ("FILES_ROOT", "Папка полученных файлов"),
    ),
    "shep": _SHEP,
    "vshep": _SHEP,
    "postamat": (
        ("POSTAMAT_MODE", "portal: свой справочник и свои дела; client: портал в другом месте"),
        ("POSTAMAT_URL, POSTAMAT_TOKEN", "Адрес портала (client) и токен"),
        ("POSTAMAT_LISTEN", "Где адаптер принимает обращения постаматов (portal)"),
    ),
}
#: Switches of single services, by module.
_SWITCHES: Final[Mapping[str, Rows]] = {
    "zhkh_debt_requests": (
        ("ZHKH_CHECK_NSI95", "Проверять код документа по справочнику НСИ № 95 (по умолчанию да)"),
        ("ZHKH_CHECK_SNILS", "Проверять контрольное число СНИЛС (по умолчанию да)"),
    ),
    "smev3_provider": (("SMEV_PROVIDES", "Какие виды сведений предоставляются: NAMESPACE#ROOT через запятую или *"),),
}
_ORDER_ANSWERS: Final[Rows] = (
    ("EPGU_ORDER_TYPES", "Виды сведений, которыми ЕПГУ передаёт заявления: список JSON"),
    ("EPGU_EVENT_ENV", "Среда ЕПГУ в событиях"),
)


def variables_of(service: Service) -> Iterator[tuple[str, str]]:
    """Yield the variables of a service with what they are for; several of one kind share a row."""
    yield from _COMMON
    yield from _BY_GATEWAY[service.gateway]
    module = type(service).__module__.rpartition(".")[2]
    yield from _SWITCHES.get(module, ())
    if service.gateway == "smev3" and service.action.startswith("epgu."):
        yield from _ORDER_ANSWERS
    yield from _LAST


def switches() -> set[str]:
    """Return the switches that service modules declare: a page has to name each."""
    declared = (getattr(importlib.import_module(module.__name__), "VARIABLES", {}) for module in modules())
    return {name for variables in declared for name in variables}
