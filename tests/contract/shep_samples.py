"""Messages of the ШЭП as the tests need them: one per operation, answer and fault, valid and not."""

from __future__ import annotations

SYNC = "http://bip.bee.kz/SyncChannel/v10/Types"
ASYNC = "http://bip.bee.kz/AsyncChannel/v10/Types"
CLIENT = "http://bip.bee.kz/AsyncChannel/v10/Types/Client"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
NOW = "2026-11-20T10:11:12.131+05:00"
SESSION = "{0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f}"

_SENDER = "<sender><senderId>system</senderId><password>secret</password></sender>"
_ERROR = (
    f"<errorCode>E1</errorCode><errorMessage>Беда</errorMessage><errorDate>{NOW}</errorDate><subError><errorCode>E2"
    f"</errorCode><errorMessage/><errorData>where</errorData><errorDate>{NOW}</errorDate></subError>"
    f"<sessionId>{SESSION}</sessionId>"
)
_STATUS = f"<statusCode>S</statusCode><statusMessage/><statusDate>{NOW}</statusDate>"
_INFO = f"<serviceId>Svc</serviceId><messageType>REQUEST</messageType><messageDate>{NOW}</messageDate>{_SENDER}"
_ANSWERED = (
    f"<messageInfo><messageId>1</messageId><correlationId>2</correlationId><serviceId>Svc</serviceId>"
    f"<messageType>RESPONSE</messageType><routeId>R</routeId><messageDate>{NOW}</messageDate>"
    f"<sender><senderId>other</senderId></sender><properties><key/><value/></properties>"
    f"<sessionId>{SESSION}</sessionId></messageInfo><messageData><data/></messageData>"
)
_SYNC_INFO = f"<messageId>m</messageId><serviceId>Svc</serviceId><messageDate>{NOW}</messageDate>{_SENDER}"
_DELIVERY = (
    f"<notification><messageId>1</messageId><serviceId>Svc</serviceId><notificationDate>{NOW}</notificationDate>"
    f"<deliveryStatus><receiveStatus>MESSAGE_ACCEPTED</receiveStatus><statusDate>{NOW}</statusDate>"
    f"<resendMessage>NOT_RESEND</resendMessage></deliveryStatus></notification><requestDate>{NOW}</requestDate>"
)
_STATE = (
    f"<notification><notificationId>n</notificationId><messageId>1</messageId><notificationDate>{NOW}"
    f"</notificationDate><messageState>DELIVERED</messageState><status>{_STATUS}</status></notification>"
    f"<requestDate>{NOW}</requestDate>"
)


def _message(namespace: str, name: str, content: str) -> str:
    return f'<n:{name} xmlns:n="{namespace}">{content}</n:{name}>'


def _request(namespace: str, name: str, content: str) -> str:
    return _message(namespace, name, f"<request>{content}</request>")


def _response(namespace: str, name: str, content: str) -> str:
    return _message(namespace, f"{name}Response", f"<response>{content}</response>")


def _sync(data: str, info: str = _SYNC_INFO) -> str:
    return _request(SYNC, "SendMessage", f"<requestInfo>{info}</requestInfo><requestData>{data}</requestData>")


def _sent(info: str, data: str = "<data><a/></data>") -> str:
    content = f"<messageInfo>{info}</messageInfo><messageData>{data}</messageData>"
    return _request(ASYNC, "sendMessage", content)


VALID = {
    "sync": _sync("<data><a>1</a></data>"),
    "sync-no-data": _sync(""),
    "sync-text": _sync(
        '<data xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xs="http://www.w3.org/2001/XMLSchema"'
        ' xsi:type="xs:string">&lt;a/&gt;</data>'
    ),
    "sync-full": _sync(
        "<data/>",
        f"<messageId>m</messageId><correlationId>c</correlationId><serviceId>Svc</serviceId>"
        f"<messageDate>{NOW}</messageDate><routeId>R</routeId>{_SENDER}<properties><key>k</key><value>v</value>"
        f"</properties><properties><key/><value/></properties><sessionId>{SESSION}</sessionId>",
    ),
    "sync-answer": _response(
        SYNC,
        "SendMessage",
        f"<responseInfo><messageId>m</messageId><responseDate>{NOW}</responseDate><status><code>SCSS001</code>"
        f"<message>OK</message></status></responseInfo><responseData><data><b/></data></responseData>",
    ),
    "sync-fault": _message(SYNC, "SendMessageFault1_SendMessageFault", _ERROR),
    "sent": _sent(_INFO),
    "sent-answer": _sent(_INFO.replace("REQUEST", "RESPONSE").replace("<serviceId>", "<messageId/><serviceId>")),
    "receipt": _response(
        ASYNC,
        "sendMessage",
        f"<messageId>216386080</messageId><correlationId>3226347</correlationId><responseDate>{NOW}</responseDate>"
        f"<sessionId>{SESSION}</sessionId>",
    ),
    "sent-fault": _message(ASYNC, "sendMessageFault1_sendMessageFault", _ERROR),
    "delivery": _request(ASYNC, "sendDeliveryNotification", _DELIVERY + _SENDER),
    "delivery-refused": _request(
        ASYNC,
        "sendDeliveryNotification",
        _DELIVERY.replace("MESSAGE_ACCEPTED", "MESSAGE_NOT_ACCTEPTED").replace(
            "NOT_RESEND</resendMessage>", f"RESEND</resendMessage><error>{_ERROR}</error>"
        ),
    ),
    "delivery-receipt": _response(
        ASYNC,
        "sendDeliveryNotification",
        f"<notificationId>n</notificationId><responseDate>{NOW}</responseDate><sessionId>{SESSION}</sessionId>",
    ),
    "delivery-fault": _message(ASYNC, "sendDeliveryNotificationFault1_sendDeliveryNotificationFault", _ERROR),
    "status": _request(ASYNC, "getMessageStatus", f"<messageId>1</messageId><requestDate>{NOW}</requestDate>{_SENDER}"),
    "status-answer": _response(
        ASYNC,
        "getMessageStatus",
        f"<messageState>ON_DELIVERY</messageState><status>{_STATUS}</status><responseDate>{NOW}</responseDate>"
        "<sessionId>any text</sessionId>",
    ),
    "status-fault": _message(ASYNC, "getMessageStatusFault1_getMessageStatusFault", _ERROR),
    "fetch": _request(ASYNC, "getMessages", f"<serviceId>Svc</serviceId>{_SENDER}<amount>0</amount>"),
    "fetch-alone": _request(ASYNC, "getMessages", "<serviceId>Svc</serviceId>"),
    "fetched": _response(
        ASYNC,
        "getMessages",
        f"<responseDate>{NOW}</responseDate><sessionId>{SESSION}</sessionId><messages>{_ANSWERED}</messages>"
        f"<messages>{_ANSWERED}</messages>",
    ),
    "fetched-nothing": _response(
        ASYNC, "getMessages", f"<responseDate>{NOW}</responseDate><sessionId>{SESSION}</sessionId>"
    ),
    "fetch-fault": _message(ASYNC, "getMessagesFault1_getMessagesFault", _ERROR),
    "pushed": _request(ASYNC, "sendMessage", _ANSWERED),
    "pushed-by-the-other-name": _request(CLIENT, "sendMessage", _ANSWERED),
    "state": _request(CLIENT, "changeMassageStatusNotification", _STATE + f"<sessionId>{SESSION}</sessionId>"),
    "state-answer": _response(
        CLIENT,
        "changeMassageStatusNotification",
        f"<responseDate>{NOW}</responseDate><sessionId>{SESSION}</sessionId>",
    ),
    "state-fault": _message(
        CLIENT, "changeMassageStatusNotificationFault1_changeMassageStatusNotificationFault", _ERROR
    ),
}
INVALID = {
    "sync-without-id": _sync("", _SYNC_INFO.replace("<messageId>m</messageId>", "")),
    "sync-in-namespace": VALID["sync"].replace("<request>", "<n:request>").replace("</request>", "</n:request>"),
    "sync-order": _sync("", _SENDER + _SYNC_INFO.replace(_SENDER, "")),
    "session-without-braces": VALID["receipt"].replace(SESSION, SESSION.strip("{}")),
    "unknown-type": VALID["sent"].replace("REQUEST", "REPLY"),
    "unknown-state": VALID["state"].replace("DELIVERED", "LOST"),
    "spelt-right": VALID["delivery-refused"].replace("ACCTEPTED", "ACCEPTED"),
    "resend-as-boolean": VALID["delivery"].replace("NOT_RESEND", "false"),
    "long-key": VALID["sync-full"].replace("<key>k", f"<key>{'k' * 31}"),
    "long-value": VALID["sync-full"].replace("<value>v", f"<value>{'v' * 501}"),
    "long-message": VALID["sync-answer"].replace("OK", "О" * 251),
    "no-data": _sent(_INFO, ""),
    "date-without-time": VALID["fetched-nothing"].replace(NOW, "2026-11-20"),
    "amount-in-words": VALID["fetch"].replace("<amount>0", "<amount>ten"),
    "fault-without-message": VALID["sync-fault"].replace("<errorMessage>Беда</errorMessage>", ""),
    "two-sub-errors": VALID["sync-fault"].replace("</subError>", "</subError><subError/>"),
    "answer-without-session": VALID["state-answer"].replace(f"<sessionId>{SESSION}</sessionId>", ""),
    "unknown-operation": VALID["sent"].replace("sendMessage", "SendMessage"),
}


def envelope(payload: str) -> bytes:
    """The SOAP message around ``payload``; a fault's detail is laid into a Fault."""
    if "Fault1_" in payload:
        told = "<faultcode>S:Server</faultcode><faultstring>err</faultstring>"
        payload = f"<S:Fault>{told}<detail>{payload}</detail></S:Fault>"
    return f'<S:Envelope xmlns:S="{SOAP}"><S:Body>{payload}</S:Body></S:Envelope>'.encode()
