"""Cost allocation: a pool of money, a method, and exact shares that add up to the pool.

Pure arithmetic on values. The rules are those of the project's money book:

1. the exact decimals of a pool are summed by the caller, converted once at one rate, and rounded once, half away from
   zero, to the currency's exponent;
2. the rounded pool is split by largest remainder on its absolute value, then the sign is put back; equal remainders go
   to the larger weight first, then to the smaller member key by code point;
3. what cannot be split honestly is parked with a named reason: nothing is dropped, clamped or guessed.

So the shares always sum to the pool, whatever order the members came in, and a credit splits as its charge did.
"""

from billing.allocation.methods import Conversion, Method, allocate, idle_own_line, tier_weights
from billing.allocation.parking import PoolParked
from billing.allocation.result import Allocation, Share
from billing.allocation.stepdown import StepDown, SupportPool, step_down

__all__ = [
    "Allocation",
    "Conversion",
    "Method",
    "PoolParked",
    "Share",
    "StepDown",
    "SupportPool",
    "allocate",
    "idle_own_line",
    "step_down",
    "tier_weights",
]
