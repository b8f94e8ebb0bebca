"""Looking at runs and at the labels they were trained on; needs no accelerator."""

from grjax.analysis.audit_arrays import audit
from grjax.analysis.suspects import Audit

__all__ = ["Audit", "audit"]
