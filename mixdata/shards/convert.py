"""Stored samples to float32 audio, in one pass from where they lie into the arrays of the caller.

The factor is 1 / d in double precision for a divisor d that float32 holds. A sample of at most 24 bits times this factor, rounded to
float32, is the same number as their quotient in float32: a quotient of two such numbers is never half-way between two float32 values and
not nearer to it than 2^-49 of itself, where the two roundings before it make 2^-52. The tests try all samples of 16 bits. Where the factor
is a power of two, which it mostly is, float32 does as well, and faster.
"""

import math

import numpy as np

from mixdata.kernels import kernel

# What a reader does with a member, by the value in `kind`.
SILENT, STORED, ELSEWHERE, BROKEN = range(4)  # zero; read here; left alone, whoever calls fills it in; an error
FINE, OUTSIDE = -1, -2  # all is filled; the pieces do not fit the arrays


@kernel
def convert(stored, factor, out):  # type: ignore[no-untyped-def]
    """Write `(frames,)` stored samples times a factor into as many of `out`."""
    if math.frexp(factor)[0] == 0.5:
        power = np.float32(factor)
        for n in range(out.shape[0]):
            out[n] = np.float32(stored[n]) * power
        return
    for n in range(out.shape[0]):
        out[n] = np.float32(np.float64(stored[n]) * factor)


@kernel
def spread(stored, factor, out):  # type: ignore[no-untyped-def]
    """Write interleaved samples `(frames, channels)` times a factor into `out`, `(channels, frames)`."""
    frames, channels = stored.shape
    if channels == 2:  # two running indices are four times as fast
        left, right = out[0], out[1]
        for n in range(frames):
            left[n] = np.float32(np.float64(stored[n, 0]) * factor)
            right[n] = np.float32(np.float64(stored[n, 1]) * factor)
        return
    for channel in range(channels):
        row = out[channel]
        for n in range(frames):
            row[n] = np.float32(np.float64(stored[n, channel]) * factor)


@kernel
def fill_planar(stored, size, data, end, frames, factor, kind, members, pieces, first, out):  # type: ignore[no-untyped-def]
    """Write members `[first, first + len(out))` of each piece into `out`, `(members, channels, frames)`, zero where no piece lies.

    `stored` is a file as samples and `size` its bytes; `data` (first sample), `end` (byte behind it), `frames`, `factor` and `kind` are
    by member. `members` is `(pieces, members)`, `pieces` rows of start, count, to. Returns (FINE, rows that were read, samples in
    them), where in place of FINE may stand `OUTSIDE`, or the place in `members` of one that does not hold what is asked for; then
    nothing is written.
    """
    total = out.shape[2]
    ordered, behind = True, 0
    for piece in range(pieces.shape[0]):
        start, count, to = pieces[piece]
        if count < 0 or to < 0 or count > total - to or first + out.shape[0] > members.shape[1]:
            return OUTSIDE, 0, 0
        ordered &= to >= behind
        behind = to + count
        for place in range(first, first + out.shape[0]):
            member = members[piece, place]
            if member < 0 or member >= kind.shape[0]:
                return OUTSIDE, 0, 0
            if start < 0 or count > frames[member] - start or kind[member] == BROKEN or (kind[member] == STORED and end[member] > size):
                return piece * members.shape[1] + place, 0, 0
    rows, samples = 0, 0
    if not ordered:
        out[:] = 0
    for place in range(out.shape[0]):
        for channel in range(out.shape[1]):
            row = out[place, channel]
            behind = 0
            for piece in range(pieces.shape[0]):
                start, count, to = pieces[piece]
                if ordered:
                    row[behind:to] = 0
                    behind = to + count
                member = members[piece, first + place]
                if kind[member] == STORED:
                    begin = data[member] + channel * frames[member] + start
                    convert(stored[begin : begin + count], factor[member], row[to : to + count])
                    rows += 1
                    samples += count
                elif kind[member] == SILENT:
                    row[to : to + count] = 0
            if ordered:
                row[behind:] = 0
    return FINE, rows, samples
