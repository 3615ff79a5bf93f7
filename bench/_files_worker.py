"""``adapter run`` whose debt requests take files, which their real provider does not."""

from __future__ import annotations

import sys

from adapter.cli import main
from adapter.services.zhkh_debt_requests import ZhkhDebtRequests

if __name__ == "__main__":
    ZhkhDebtRequests.attachments = True
    sys.exit(main(["run"]))
