"""The JSON of ``order`` in the details: the fields of table 28 as the portal fills them.

Until 2023 it had two dozen more, mostly empty; since then a few others (facts of ЕПГУ, Answers).
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from simulators.epgu.profiles import MOSCOW

if TYPE_CHECKING:
    from datetime import datetime

    from simulators.epgu.orders import Entry, Order
    from simulators.epgu.profiles import Profile

_NAMES = UUID("5c1e3d2e-3f5a-4c7c-8d0a-1f6f0c5a7b11")
_DRAFT = 0

#: What is the same in every order made by the API.
_COMMON: dict[str, Any] = {
    "orderType": "ORDER",
    "hasNewStatus": True,
    "hasEmpowerment2021": False,
    "smevMessageId": "WAIT_RESPONSE",
    "hasChildren": False,
    "formVersion": "1",
    "orderAttributeEvents": [],
    "hasTimestamp": False,
    "paymentRequired": False,
    "paymentStatusEvents": [],
    "payback": False,
    "readyToPush": False,
    "admLevelCode": "FEDERAL",
    "signCnt": 0,
    "noPaidPaymentCount": -1,
    "childrenSigned": False,
    "creationMode": "api",
    "steps": [],
    "withCustomResult": False,
    "hasNoPaidPayment": False,
    "checkQueue": False,
    "withDelivery": False,
    "gisdo": False,
    "eQueueEvents": [],
    "hasActiveInviteToEqueue": False,
    "multRegion": True,
    "serviceEpguId": "1",
    "extSystem": False,
    "useAsTemplate": False,
    "edsStatus": "EDS_NOT_SUPPORTED",
    "allowToDelete": False,
    "hasPreviewPdf": False,
    "testUser": False,
    "textMessages": [],
    "orderPayments": [],
    "unreadMessageCnt": 0,
    "deprecatedService": False,
    "hubForm": False,
    "allowToEdit": False,
    "online": False,
    "readyToSign": False,
    "infoMessages": [],
    "paymentCount": 0,
    "draftHidden": False,
}
#: Present and, for orders of the API, empty until 2023.
_EARLY_EMPTY = (
    "complexMode",
    "cr_uin",
    "description",
    "esepOperationId",
    "extOrderId",
    "extOrderUrl",
    "infSysCode",
    "inviteToEqueueUrl",
    "linkToOrderForm",
    "notifyEmail",
    "notifyPush",
    "notifySms",
    "orgUserName",
    "parentOrderStateStructureName",
    "powerMnemonic",
    "redirectUrl",
    "routingCode",
    "serviceUrl",
    "statusColorCode",
)
_LINK = {"hasAltMimeType": False, "fileSize": 0, "canSentToMFC": False, "hasDigitalSignature": False}
_EARLY_LINK = dict.fromkeys(("fileName", "edsStatus", "link", "id", "mimeType", "additionalName"), "")


def order_json(order: Order, profile: Profile) -> dict[str, Any]:
    """Return the fields of an order that has a status, as ``profile`` has them."""
    current = order.history[-1]
    told = _COMMON | _identity(order) | _times(order)
    told |= {
        "currentStatusHistoryId": current.id,
        "currentStatusHistory": _entry(order, current, profile),
        "statuses": [_entry(order, entry, profile) for entry in order.history],
        "orderStatusId": current.status.status_id,
        "orderStatusName": current.status.name,
        "closed": current.status.ends,
        "hasResult": any(entry.status.files for entry in order.history),
        "orderResponseFiles": _results(order, profile),
        "orderAttachmentFiles": _attachments(order),
        "allFileSign": False,
    }
    if profile.early_fields:
        told |= dict.fromkeys(_EARLY_EMPTY, "") | {
            "formPrefilling": False,
            "portalCode": "PGU",
            "portalName": "Портал гос услуг v1",
            "stateOrgStatusCode": current.status.org_code,
            "stateOrgStatusName": current.status.org_name,
            "qrlink": _LINK | _EARLY_LINK,
        }
    else:
        told |= {"elk": False, "possibleServices": {}, "qrlink": _LINK | {"canPrintMFC": False}}
    return told | order.overrides


def escaped(order: Order, profile: Profile) -> str:
    """Return the fields as the string that stands in ``order``."""
    return json.dumps(order_json(order, profile), ensure_ascii=False, separators=(",", ":"))


def offset_time(moment: datetime) -> str:
    """Return a moment as ``order`` writes it: Moscow time, milliseconds, an offset without a colon."""
    return moment.astimezone(MOSCOW).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0300"


def _identity(order: Order) -> dict[str, Any]:
    service, user = order.service, order.user
    return {
        "id": order.id,
        "smevTx": str(uuid5(_NAMES, str(order.id))),
        "ownerId": int(user.oid),
        "userId": int(user.oid),
        "personType": user.kind,
        "sourceSystem": order.system.number,
        "eserviceId": service.service_code,
        "serviceTargetId": service.target_code,
        "servicePassportId": service.service_code[-6:],
        "serviceName": service.title,
        "stateOrgId": service.org_id,
        "stateOrgCode": service.org_code,
        "stateStructureId": f"1000000{service.org_id:04d}",
        "stateStructureName": service.org_name,
        "userSelectedRegion": order.region,
        "location": order.region,
    }


def _times(order: Order) -> dict[str, Any]:
    made = offset_time(order.made_at)
    return {
        "orderDate": made[:20] + "000" + made[23:],
        "requestDate": offset_time(order.submitted_at or order.made_at),
        "updated": offset_time(order.updated or order.made_at),
    }


def _entry(order: Order, entry: Entry, profile: Profile) -> dict[str, Any]:
    status = entry.status
    told: dict[str, Any] = {
        "date": offset_time(entry.at),
        "cancelAllowed": status.cancel_allowed,
        "unreadEvent": True,
        "deliveryCancelAllowed": False,
        "finalStatus": status.ends,
        "orderId": order.id,
        "hasResult": "Y" if status.files else "N",
        "title": status.name,
        "sendMessageAllowed": status.send_message_allowed,
        "statusId": status.status_id,
        "editAllowed": False,
        "id": entry.id,
    }
    sender = "" if status.status_id == _DRAFT else order.service.org_name
    optional = {
        "sender": sender,
        "comment": status.comment,
        "stateOrgStatusCode": status.org_code,
        "stateOrgStatusDescr": status.org_name,
    }
    if profile.early_fields:
        return told | optional | {"author": "", "mfcFinalStatus": False, "mnemonic": ""}
    # Since 2023 what is empty is left out.
    return told | {name: value for name, value in optional.items() if value} | {"statusColorCode": _colour(entry)}


def _colour(entry: Entry) -> str:
    if entry.status.status_id == _DRAFT:
        return "edit"
    return "done" if entry.status.ends else "in_progress"


def _results(order: Order, profile: Profile) -> list[dict[str, Any]]:
    return [
        {
            "fileName": file.name,
            "fileSize": file.length,
            "link": f"terrabyte://00/{order.id}/{file.name}/3",
            "id": _file_id(order.id, file.name),
            "mimeType": file.mime_type,
            "hasDigitalSignature": file.signed,
            "hasAltMimeType": False,
            **({"edsStatus": "EDS_NOT_SUPPORTED"} if profile.early_fields else {}),
        }
        for _, file in order.results()
    ]


def _attachments(order: Order) -> list[dict[str, Any]]:
    members = order.archive.members if order.archive else []
    return [
        {
            "fileName": member.name,
            "fileSize": member.size,
            "link": f"terrabyte://00/{order.id}/{member.name}/2",
            "id": _file_id(order.id, member.name),
            "mimeType": "application/xml" if member.name.endswith(".xml") else "application/octet-stream",
            "hasDigitalSignature": False,
            "type": "REQUEST" if number == 0 else "ATTACHMENT",
        }
        for number, member in enumerate(members)
    ]


def _file_id(order_id: int, name: str) -> str:
    return f"{order_id}/files/{base64.urlsafe_b64encode(name.encode()).rstrip(b'=').decode()}"
