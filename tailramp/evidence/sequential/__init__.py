"""The sequential test: evidence that may be looked at after every tick, and rarely blames a healthy candidate.

Numpy only, batched over metrics and runs. The judge that speaks about one check is `judge`.
"""

from tailramp.evidence.sequential.absolute import LimitProcess
from tailramp.evidence.sequential.assignment_check import assignment_evidence
from tailramp.evidence.sequential.combination import combined, weights_of
from tailramp.evidence.sequential.dispersion import Dispersion, Noise
from tailramp.evidence.sequential.process import CAP, ChangeTime, EvidenceProcess
from tailramp.evidence.sequential.ratios import Ratios, ratios
from tailramp.evidence.sequential.user_sets import UserSets, kernel, prior

__all__ = [
    "CAP",
    "ChangeTime",
    "Dispersion",
    "EvidenceProcess",
    "LimitProcess",
    "Noise",
    "Ratios",
    "UserSets",
    "assignment_evidence",
    "combined",
    "kernel",
    "prior",
    "ratios",
    "weights_of",
]
