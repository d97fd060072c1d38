// Statistics of a pair of tensors, golden and candidate, in one launch; see reductions.py for what they mean.
//
// Compiled at run time by NVRTC, once per pair of element types, without any header:
//   GOLDEN, CANDIDATE  element type: 0 FP32, 1 FP16, 2 BF16, 3 FP64, 4 FP8 E4M3; -1 where the tensor is absent
//   FORMATS            1: also count what of golden FP16 cannot hold
//   THREADS            threads of a block, a power of two
//
// The same numbers come out of every run: which elements a thread takes follows from their number and alignment alone,
// and the last block to finish adds what the others left in the order of the blocks. Only integers are added atomically.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define NONE (~0ull)
#define INFINITE __longlong_as_double(0x7ff0000000000000ll)

enum { PACK = 8 };
enum { IS_NAN = 1, IS_POSITIVE = 2, IS_NEGATIVE = 4, IS_OWN = 8 };

template <int TYPE> struct Element;

template <> struct Element<-1> {
    typedef u8 Stored;
    typedef float Value;
    static __device__ Value value(Stored) { return 0.0f; }
};

template <> struct Element<0> {
    typedef u32 Stored;
    typedef float Value;
    static __device__ Value value(Stored bits) { return __uint_as_float(bits); }
};

// The bits of a small format, shifted to where float has them, are the number times a power of two: its subnormals too.
template <> struct Element<1> {
    typedef u16 Stored;
    typedef float Value;
    static __device__ Value value(Stored bits) {
        u32 sign = (u32)(bits & 0x8000) << 16, rest = (u32)(bits & 0x7fff) << 13;
        if ((bits & 0x7c00) == 0x7c00) return __uint_as_float(sign | 0x7f800000u | rest);
        return __uint_as_float(sign | __float_as_uint(__uint_as_float(rest) * 0x1p112f));
    }
};

template <> struct Element<2> {
    typedef u16 Stored;
    typedef float Value;
    static __device__ Value value(Stored bits) { return __uint_as_float((u32)bits << 16); }
};

template <> struct Element<3> {
    typedef u64 Stored;
    typedef double Value;
    static __device__ Value value(Stored bits) { return __longlong_as_double((long long)bits); }
};

template <> struct Element<4> {
    typedef u8 Stored;
    typedef float Value;
    static __device__ Value value(Stored bits) {
        u32 sign = (u32)(bits & 0x80) << 24, rest = (u32)(bits & 0x7f) << 20;
        if ((bits & 0x7f) == 0x7f) return __uint_as_float(sign | 0x7fc00000u);
        return __uint_as_float(sign | __float_as_uint(__uint_as_float(rest) * 0x1p120f));
    }
};

typedef Element<GOLDEN> Golden;
typedef Element<CANDIDATE> Candidate;

enum { HAS_GOLDEN = GOLDEN >= 0, HAS_CANDIDATE = CANDIDATE >= 0 };

// Loaded by 16 bytes at once, or all at once where it is smaller.
template <class Stored> struct alignas(sizeof(Stored) * PACK < 16 ? sizeof(Stored) * PACK : 16) Pack {
    Stored at[PACK];
};

struct Partial {
    double signal, noise, cross, largest, low, high, golden_low, golden_high, golden_least;
    u64 bad, overflow, underflow, subnormal;
};

// As TOTAL in reductions.py has it: every field takes eight bytes.
struct Total {
    Partial sums;
    u64 elements, samples, nan, positive, negative, own, settled, first;
};

static __device__ double least(double a, double b) { return b < a ? b : a; }
static __device__ double most(double a, double b) { return b > a ? b : a; }

// NaN and infinities minus themselves are NaN.
template <class Value> static __device__ bool finite(Value value) { return value - value == 0; }

static __device__ void add(Partial &to, const Partial &more) {
    to.signal += more.signal;
    to.noise += more.noise;
    to.cross += more.cross;
    to.largest = most(to.largest, more.largest);
    to.low = least(to.low, more.low);
    to.high = most(to.high, more.high);
    to.golden_low = least(to.golden_low, more.golden_low);
    to.golden_high = most(to.golden_high, more.golden_high);
    to.golden_least = least(to.golden_least, more.golden_least);
    to.bad += more.bad;
    to.overflow += more.overflow;
    to.underflow += more.underflow;
    to.subnormal += more.subnormal;
}

static __device__ Partial nothing() {
    Partial empty = {0, 0, 0, 0, INFINITE, -INFINITE, INFINITE, -INFINITE, INFINITE, 0, 0, 0, 0};
    return empty;
}

// What one thread has seen.
struct Seen {
    double signal, noise, cross, largest;
    Candidate::Value low, high;
    Golden::Value golden_low, golden_high, golden_least;
    u64 bad;
    u32 overflow, underflow, subnormal;
    u64 row, row_end;
    u32 marked;

    __device__ Seen() : signal(0), noise(0), cross(0), largest(0), bad(0), overflow(0), underflow(0), subnormal(0) {
        low = (Candidate::Value)INFINITE;
        high = -low;
        golden_low = golden_least = (Golden::Value)INFINITE;
        golden_high = -golden_low;
        row = row_end = 0;
        marked = 0;
    }

    __device__ void take(Golden::Value golden, Candidate::Value candidate, u64 index, u64 row_elements, u32 *marks) {
        bool golden_finite = !HAS_GOLDEN || finite(golden);
        bool candidate_finite = !HAS_CANDIDATE || finite(candidate);
        if (HAS_GOLDEN && golden_finite) take_golden(golden);
        if (HAS_CANDIDATE && candidate_finite) {
            low = candidate < low ? candidate : low;
            high = candidate > high ? candidate : high;
        }
        if (golden_finite && candidate_finite) {
            if (HAS_GOLDEN && HAS_CANDIDATE) {
                double wide = golden, difference = (double)candidate - wide;
                signal += wide * wide;
                noise += difference * difference;
                cross += wide * difference;
                largest = most(largest, fabs(difference));
            }
            return;
        }
        bool same = (double)golden == (double)candidate || (golden != golden && candidate != candidate);
        if (HAS_GOLDEN && HAS_CANDIDATE && !same) bad += 1;
        if (candidate_finite) return;
        u32 kind = candidate != candidate ? IS_NAN : candidate > 0 ? IS_POSITIVE : IS_NEGATIVE;
        mark(index, row_elements, HAS_GOLDEN && !same ? kind | IS_OWN : kind, marks);
    }

    __device__ void take_golden(Golden::Value golden) {
        golden_low = golden < golden_low ? golden : golden_low;
        golden_high = golden > golden_high ? golden : golden_high;
        if (!FORMATS || golden == 0) return;
        Golden::Value size = golden < 0 ? -golden : golden;
        golden_least = size < golden_least ? size : golden_least;
        // Half to even: 65520 becomes infinite, 2^-25 zero, 2^-14 - 2^-25 the smallest normal number.
        if (size >= 65520) overflow += 1;
        else if (size <= (Golden::Value)0x1p-25) underflow += 1;
        else if (size < (Golden::Value)(0x1p-14 - 0x1p-25)) subnormal += 1;
    }

    // A tensor that is NaN all over must cost neither a division nor an atomic operation per element, nor may all
    // threads of the device wait for one word of its memory: a thread's indices rise, and the marks are its block's.
    __device__ void mark(u64 index, u64 row_elements, u32 bits, u32 *marks) {
        if (index >= row_end) {
            row = index / row_elements;
            row_end = (row + 1) * row_elements;
            marked = 0;
        }
        if ((bits & ~marked) == 0) return;
        marked |= bits;
        if (bits & ~*(volatile u32 *)(marks + row)) atomicOr(marks + row, bits);
    }

    __device__ Partial partial() const {
        Partial sums = {signal, noise, cross, largest, (double)low, (double)high, (double)golden_low,
                        (double)golden_high, (double)golden_least, bad, overflow, underflow, subnormal};
        return sums;
    }
};

enum { MARKS = sizeof(Partial) * THREADS / sizeof(u32) };

// Sum over the threads of a block, in an order that does not depend on who is first; valid in thread 0.
static __device__ Partial block_sum(Partial *shared, const Partial &mine) {
    shared[threadIdx.x] = mine;
    __syncthreads();
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) add(shared[threadIdx.x], shared[threadIdx.x + half]);
        __syncthreads();
    }
    return shared[0];
}

// golden, candidate: the tensors, as far as they count; elements: of each of them; row_elements: of one row.
// rows: elements / row_elements; weight: samples that a row stands for (all of the batch where it is not split).
// start: index of the first sample; mismatch: golden has the tensor, but in another shape.
// partials: one per block; flags: one per row, all 0, and 0 again afterwards; ticket: the same.
// hit: set to 1 where the candidate is not finite.
extern "C" __global__ void reduce(const void *golden, const void *candidate, u64 elements, u64 row_elements, u64 rows,
                                  u64 weight, u64 start, u32 mismatch, Partial *partials, u32 *flags, u32 *ticket,
                                  Total *total, u32 *hit) {
    // The marks of the rows, until the sums are needed; straight into `flags` where there are too many rows.
    __shared__ union {
        Partial sums[THREADS];
        u32 marks[MARKS];
    } shared;
    __shared__ u64 counts[6];  // samples, NaN, +Inf, -Inf, own; first row
    __shared__ u32 last;
    const Golden::Stored *g = (const Golden::Stored *)golden;
    const Candidate::Stored *c = (const Candidate::Stored *)candidate;
    const u64 thread = (u64)blockIdx.x * THREADS + threadIdx.x, threads = (u64)gridDim.x * THREADS;
    const bool marks_here = HAS_CANDIDATE && rows <= MARKS;
    u32 *marks = marks_here ? shared.marks : flags;
    Seen seen;

    if (marks_here)
        for (u32 row = threadIdx.x; row < rows; row += THREADS) shared.marks[row] = 0;
    __syncthreads();
    const u64 misaligned = (HAS_GOLDEN ? (u64)golden % alignof(Pack<Golden::Stored>) : 0) |
                           (HAS_CANDIDATE ? (u64)candidate % alignof(Pack<Candidate::Stored>) : 0);
    const u64 packs = misaligned ? 0 : elements / PACK;
    for (u64 pack = thread; pack < packs; pack += threads) {
        Pack<Golden::Stored> first = {};
        Pack<Candidate::Stored> second = {};
        if (HAS_GOLDEN) first = ((const Pack<Golden::Stored> *)g)[pack];
        if (HAS_CANDIDATE) second = ((const Pack<Candidate::Stored> *)c)[pack];
#pragma unroll
        for (int i = 0; i < PACK; ++i)
            seen.take(Golden::value(first.at[i]), Candidate::value(second.at[i]), pack * PACK + i, row_elements, marks);
    }
    for (u64 i = packs * PACK + thread; i < elements; i += threads)
        seen.take(Golden::value(HAS_GOLDEN ? g[i] : 0), Candidate::value(HAS_CANDIDATE ? c[i] : 0), i, row_elements,
                  marks);

    __syncthreads();
    if (marks_here)
        for (u32 row = threadIdx.x; row < rows; row += THREADS)
            if (shared.marks[row]) atomicOr(flags + row, shared.marks[row]);
    __syncthreads();
    Partial sum = block_sum(shared.sums, seen.partial());
    // Every thread's flags must be seen before the block's ticket is.
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        partials[blockIdx.x] = sum;
        __threadfence();
        last = atomicAdd(ticket, 1u) == gridDim.x - 1;
        for (int i = 0; i < 6; ++i) counts[i] = i == 5 ? NONE : 0;
    }
    __syncthreads();
    if (!last) return;

    __threadfence();
    Partial mine = nothing();
    for (u32 block = threadIdx.x; block < gridDim.x; block += THREADS) add(mine, partials[block]);
    sum = block_sum(shared.sums, mine);
    if (HAS_CANDIDATE) {
        for (u64 row = threadIdx.x; row < rows; row += THREADS) {
            u32 found = atomicExch(flags + row, 0u);
            if (!found) continue;
            atomicAdd(counts, 1ull);
            if (found & IS_NAN) atomicAdd(counts + 1, 1ull);
            if (found & IS_POSITIVE) atomicAdd(counts + 2, 1ull);
            if (found & IS_NEGATIVE) atomicAdd(counts + 3, 1ull);
            if (found & IS_OWN) atomicAdd(counts + 4, 1ull);
            atomicMin(counts + 5, row);
        }
    }
    __syncthreads();
    if (threadIdx.x != 0) return;

    *ticket = 0;
    add(total->sums, sum);
    if (HAS_GOLDEN && HAS_CANDIDATE) total->elements += elements;
    if (!counts[0]) return;
    *hit = 1;
    total->samples += counts[0] * weight;
    total->nan += counts[1] * weight;
    total->positive += counts[2] * weight;
    total->negative += counts[3] * weight;
    total->own += mismatch ? rows * weight : counts[4] * weight;
    total->settled += HAS_GOLDEN || mismatch;
    if (total->first == NONE) total->first = start + counts[5];
}
