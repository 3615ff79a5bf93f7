"""The table of variables: the one source of what the adapter reads from its environment.

Columns: name, group, field of the group, reader, sentence. ``.env.example`` is rendered from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapter.settings import values as read
from adapter.settings.pem import anchors, certificates, private_key

if TYPE_CHECKING:
    from collections.abc import Callable

#: Headings, in the order of the table.
GROUPS = {
    "broker": "RabbitMQ",
    "services": "What this process serves",
    "smev": "СМЭВ3 (needed when an action of that gateway is served)",
    "signing": "Signing service (needed with СМЭВ3)",
    "files": "Files (without FILES_ROOT they are off)",
    "postamat": "Постаматы (needed when an action of theirs is served)",
    "database": "PostgreSQL",
    "elastic": "Metrics (without ELASTIC_HOST they are off)",
    "health": "Health",
    "pipeline": "Limits",
    "logging": "Logs",
    "options": "Switches of single services",
}


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable.

    ``default`` is the text that stands in when the variable is absent or empty; ``required`` counts only where the
    group is needed; ``secret`` values are never shown.
    """

    name: str
    group: str
    field: str
    read: Callable[[str], Any]
    sentence: str
    default: str | None = None
    required: bool = False
    secret: bool = False
    example: str = ""


_V = Variable
_PORT = read.integer(1, 65535)
_LOGIN = "without it the login is by CLIENT_CERT (SASL EXTERNAL)"
_FILE = "the value, or file:PATH"

VARIABLES: tuple[Variable, ...] = (
    _V("MQ_HOST", "broker", "hosts", read.nodes,
       "Host of RabbitMQ, as its certificate names it; of a cluster every node, comma-separated, with or without :port",
       required=True, example="mq.example.org"),
    _V("MQ_PORT", "broker", "port", _PORT, "Port of RabbitMQ, where MQ_HOST names none", "5671"),
    _V("MQ_TLS", "broker", "tls", read.boolean, "TLS to RabbitMQ; off is for a closed test network only", "on"),
    _V("CA_CERT", "broker", "ca", certificates, "Certificate of the authority that signed RabbitMQ's: path or PEM text",
       example="/etc/adapter/ca.pem"),
    _V("CLIENT_CERT", "broker", "certificate", certificates, "Our certificate for RabbitMQ: path or PEM text",
       example="/etc/adapter/client.pem"),
    _V("CLIENT_KEY", "broker", "key", private_key, "Private key of CLIENT_CERT, not encrypted: path or PEM text",
       secret=True, example="/etc/adapter/client.key"),
    _V("MQ_USER", "broker", "user", read.plain, f"User of RabbitMQ; {_LOGIN}"),
    _V("MQ_PASSWORD", "broker", "password", read.secret, f"Password of MQ_USER: {_FILE}", secret=True),
    _V("MQ_VHOST", "broker", "vhost", read.plain, "Virtual host of RabbitMQ", "/"),
    _V("MQ_PREFIX", "broker", "prefix",
       read.matching(r"[A-Za-z0-9._-]{0,60}", "must be at most 60 letters, digits, dots, dashes or underscores"),
       "Put before the name of every queue and exchange", ""),
    _V("MQ_PREFETCH", "broker", "prefetch", read.integer(1, 10_000), "Unacknowledged commands held per action", "200"),
    _V("MQ_MAX_BODY", "broker", "max_body", read.size(1_000, 100_000_000),
       "Largest body of a command; a larger one is answered as bad input", "1MB"),
    _V("MQ_REQUIRE_MESSAGE_ID", "broker", "require_message_id", read.boolean,
       "Refuse commands without message_id, which closes the last way to a double sending", "false"),
    _V("MQ_HEARTBEAT", "broker", "heartbeat", read.integer(2, 600), "Heartbeat of AMQP connections, seconds", "10"),
    _V("SERVICES", "services", "actions", read.names, "Actions served here: comma-separated names or globs (epgu.*)",
       "zhkh-debt-requests"),
    _V("SMEV_SERVICE", "smev", "endpoint", read.contour,
       f"Endpoint URL of СМЭВ3, or one of {', '.join(read.CONTOURS)} (compare the address with your connection letter)",
       required=True, example="smev3-test-1.2"),
    _V("SMEV_VERSION", "smev", "version", read.choice(*read.SCHEMA_VERSIONS),
       "Version of the СМЭВ3 schema; by default the one in the endpoint's path (/smev/v1.3/ws), else 1.2"),
    _V("SMEV_NODE_ID", "smev", "node_id",
       read.matching(r"[A-Za-z0-9._-]{1,50}", "must be 1 to 50 letters, digits, dots, dashes or underscores"),
       "NodeID of our reply queue in СМЭВ3; one per deployment, by default derived from the database's address"),
    _V("SMEV_TRUST", "smev", "trust", anchors, "Trust anchors of СМЭВ3's signatures: path or PEM text",
       required=True, example="/etc/adapter/smev-trust.pem"),
    _V("SMEV_TIMEOUT", "smev", "timeout", read.seconds(1, 600), "Time for one call of СМЭВ3, seconds", "30"),
    _V("SMEV_CALLS", "smev", "calls", read.integer(1, 1000), "Requests sent to СМЭВ3 at once by one process", "256"),
    _V("SMEV_POLL_MIN", "smev", "poll_min", read.seconds(0.01, 600), "Shortest pause on an empty queue", "0.2"),
    _V("SMEV_POLL_MAX", "smev", "poll_max", read.seconds(0.01, 3600), "Longest pause on an empty queue", "30"),
    _V("SMEV_SELECTOR", "smev", "selects", read.selector,
       "Take answers of one вид сведений alone: {NamespaceURI}RootElementLocalName; by default of every one"),
    _V("SMEV_PROVIDES", "smev", "provides", read.provided,
       "Requests of others that smev3.request.answer answers: comma-separated NAMESPACE#ROOT, or * for every one",
       example="urn://example.org/extract/1.0.0#ExtractRequest"),
    _V("SMEV_STATUSES", "smev", "statuses", read.boolean,
       "Fetch what became of our messages by GetStatus; one deployment alone per mnemonic", "off"),
    _V("SMEV_EOL", "smev", "life", read.seconds(60, 86_400 * 30),
       "Life of a request in СМЭВ3 (EOL), seconds; without it a request lives for ever"),
    _V("SMEV_BUSINESS_PROCESS", "smev", "business_process", read.elements,
       "XML elements for the BusinessProcessMetadata of every request"),
    _V("SMEV_TEST_MESSAGE", "smev", "test_message", read.boolean,
       "Mark requests as TestMessage: the provider must not change data", "false"),
    _V("SMEV_FTP_HOST", "smev", "ftp_host", read.host,
       "Host of the file storage for attachments over 5 MB; by default that of SMEV_SERVICE"),
    _V("SMEV_FTP_PORT", "smev", "ftp_port", _PORT, "Port of the file storage", "21"),
    _V("SMEV_SIM_HEADERS", "smev", "sim_headers", read.boolean,
       "Forward a command's header x-sim to the simulator (X-Sim), to rehearse bad days; never towards a real contour",
       "off"),
    _V("SIGN_SERVICE", "signing", "url", read.url, "URL of the signing service (ЭП-ОВ and ЭП-СП)",
       required=True, example="https://sign.example.org:8443"),
    _V("USE_PERSONAL_SIGNATURE", "signing", "personal", read.boolean,
       "Whether requests carry the official's signature (ЭП-СП)", "false"),
    _V("SIGN_KEY_OV", "signing", "key_ov", read.plain, "Name of the key of ЭП-ОВ in the signing service", "ov"),
    _V("SIGN_KEY_SP", "signing", "key_sp", read.plain, "Name of the key of ЭП-СП in the signing service", "sp"),
    _V("SIGN_TOKEN_OV", "signing", "token_ov", read.secret, f"Token for the key of ЭП-ОВ: {_FILE}",
       secret=True, example="file:/etc/adapter/ov.token"),
    _V("SIGN_TOKEN_SP", "signing", "token_sp", read.secret, f"Token for the key of ЭП-СП: {_FILE}", secret=True),
    _V("SIGN_TIMEOUT", "signing", "timeout", read.seconds(0.1, 300), "Time for one call of it, seconds", "10"),
    _V("SIGN_CA_CERT", "signing", "ca", certificates,
       "Authority of the signing service's certificate: path or PEM text; by default the system's store"),
    _V("SIGN_CLIENT_CERT", "signing", "certificate", certificates,
       "Our certificate for the signing service: path or PEM text"),
    _V("SIGN_CLIENT_KEY", "signing", "key", private_key, "Private key of SIGN_CLIENT_CERT: path or PEM text",
       secret=True),
    _V("FILES_ROOT", "files", "root", read.folder,
       "Folder of received files, shared by every process on this database; replies name files below it",
       example="/var/lib/adapter/files"),
    _V("FILES_IN_PATHS", "files", "paths", read.folders,
       "Folders from which commands may send files by path, comma-separated; by default none"),
    _V("FILES_IN_HOSTS", "files", "hosts", read.allowed_hosts,
       "Hosts from which commands may send files by url, comma-separated: host, host:port, host=10.1.0.0/16 for one in"
       " a private network; by default none"),
    _V("FILES_MAX_SIZE", "files", "max_size", read.size(1_000, 10**10), "Largest file of a command or an answer",
       "1GB"),
    _V("POSTAMAT_MODE", "postamat", "mode", read.choice("portal", "client"),
       "Mode: portal serves the lockers and owns the cases, client calls an external portal", "portal"),
    _V("POSTAMAT_URL", "postamat", "url", read.url,
       "Address of the external portal, without /rest-api; required in mode client",
       example="https://portal.mfc.example.org"),
    _V("POSTAMAT_TOKEN", "postamat", "token", read.secret,
       f"Token of the locker API, for calls of the portal or for lockers without one of their own: {_FILE}",
       secret=True, example="file:/etc/adapter/postamat.token"),
    _V("POSTAMAT_LOCKER_TOKENS", "postamat", "locker_tokens", read.locker_tokens,
       "Tokens of single lockers in mode portal: NUMBER=TOKEN,NUMBER=TOKEN, or file:PATH with one a line", secret=True),
    _V("POSTAMAT_TIMEOUT", "postamat", "timeout", read.seconds(0.1, 300), "Time for one call of the portal, seconds",
       "10"),
    _V("POSTAMAT_CA", "postamat", "ca", certificates,
       "Authority of the portal's certificate: path or PEM text; by default the system's store"),
    _V("POSTAMAT_CHECK_TIMESTAMP", "postamat", "check_timestamp", read.boolean,
       "Refuse calls of lockers whose timestamp is further than POSTAMAT_WINDOW from now", "true"),
    _V("POSTAMAT_WINDOW", "postamat", "timestamp_window", read.seconds(1, 86_400 * 30),
       "How far the timestamp of a call may be from now, either way, seconds", "300"),
    _V("POSTAMAT_STORAGE_DAYS", "postamat", "storage_days", read.integer(1, 3650),
       "Days for which a case may lie in a locker that was added without a number of its own", "14"),
    _V("POSTAMAT_LISTEN", "postamat", "listen", read.listen,
       "Where lockers call in mode portal, HOST:PORT; off serves commands alone", "127.0.0.1:8083"),
    _V("POSTAMAT_TLS_CERT", "postamat", "certificate", certificates,
       "Our certificate for the lockers: path or PEM text; without it they are served plain http"),
    _V("POSTAMAT_TLS_KEY", "postamat", "key", private_key, "Private key of POSTAMAT_TLS_CERT: path or PEM text",
       secret=True),
    _V("DATABASE_HOST", "database", "host", read.database_host, "Host of PostgreSQL, or the folder of its unix socket",
       required=True, example="db.example.org"),
    _V("DATABASE_PORT", "database", "port", _PORT, "Port of PostgreSQL", "5432"),
    _V("DATABASE_NAME", "database", "name", read.plain, "Name of the database", required=True, example="adapter"),
    _V("DATABASE_USER", "database", "user", read.plain, "User of the database", required=True, example="adapter"),
    _V("DATABASE_PASS", "database", "password", read.secret, f"Password of DATABASE_USER: {_FILE}",
       secret=True, example="file:/etc/adapter/database.pass"),
    _V("DATABASE_SSLMODE", "database", "sslmode",
       read.choice("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
       "TLS to PostgreSQL, as libpq names it", "prefer"),
    _V("DATABASE_CA", "database", "ca", certificates,
       "Authority of PostgreSQL's certificate for verify-ca and verify-full: path or PEM text"),
    _V("ELASTIC_HOST", "elastic", "host", read.host, "Host of Elasticsearch; without it metrics are off"),
    _V("ELASTIC_PORT", "elastic", "port", _PORT, "Port of Elasticsearch", "9200"),
    _V("ELASTIC_METRIC_PREFIX", "elastic", "prefix",
       read.matching(r"[a-z0-9][a-z0-9._-]{0,99}", "must be lower-case letters, digits, dots, dashes or underscores"),
       "Indices are named PREFIX-commands-YYYY.MM.DD and PREFIX-calls-YYYY.MM.DD", "adapter"),
    _V("ELASTIC_SCHEME", "elastic", "scheme", read.choice("http", "https"), "Scheme of Elasticsearch", "http"),
    _V("ELASTIC_USER", "elastic", "user", read.plain, "User of Elasticsearch"),
    _V("ELASTIC_PASS", "elastic", "password", read.secret, f"Password of ELASTIC_USER: {_FILE}", secret=True),
    _V("ELASTIC_CA", "elastic", "ca", certificates,
       "Authority of Elasticsearch's certificate: path or PEM text; by default the system's store"),
    _V("ELASTIC_HASH_KEY", "elastic", "hash_key", read.secret,
       f"Key of the hashes that stand for ids: {_FILE}; by default random, so that hashes match within one run only",
       secret=True),
    _V("HEALTH_HOST", "health", "host", read.host, "Address of the health listener", "127.0.0.1"),
    _V("HEALTH_PORT", "health", "port", read.integer(0, 65535), "Port of the health listener; 0 means none", "8080"),
    _V("MEMORY_LIMIT", "pipeline", "memory_limit", read.size(16_000_000, 10**12),
       "Memory for commands in flight: MQ_PREFETCH x MQ_MAX_BODY x number of actions must fit it", "512MB"),
    _V("DEDUPE_DAYS", "pipeline", "dedupe_days", read.integer(1, 3650),
       "Days for which a repeated message_id is recognised", "7"),
    _V("SHUTDOWN_GRACE", "pipeline", "shutdown_grace", read.seconds(1, 600),
       "Time to finish what is in hand after SIGTERM, seconds", "25"),
    _V("ERROR_STACKTRACE", "pipeline", "error_stacktrace", read.boolean,
       "Whether replies about our own defects say where in the code they happened", "false"),
    _V("LOG_LEVEL", "logging", "level", read.choice("DEBUG", "INFO", "WARNING", "ERROR"), "Lowest level logged",
       "INFO"),
    _V("LOG_FORMAT", "logging", "format", read.choice("auto", "json", "console"),
       "Form of the logs: json lines, console for people, auto chooses console on a terminal", "auto"),
    _V("LOG_STACKTRACE", "logging", "stacktrace", read.boolean,
       "Whether logged errors list every frame (file and line, never values)", "off"),
    _V("ZHKH_CHECK_NSI95", "options", "ZHKH_CHECK_NSI95", read.boolean,
       "Check the identity document's code against directory NSI 95", "true"),
    _V("ZHKH_CHECK_SNILS", "options", "ZHKH_CHECK_SNILS", read.boolean, "Check the checksum of the СНИЛС", "true"),
)  # fmt: skip
