// Runs reductions.cu on the CPU: threads of a block are threads with a real barrier, blocks follow one another.
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

struct Place {
    unsigned int x;
};
static thread_local Place threadIdx, blockIdx;
static Place gridDim;
static std::barrier<> barrier(THREADS);

static void __syncthreads() { barrier.arrive_and_wait(); }
static void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
template <class To, class From> static To bits(From from) {
    To to;
    static_assert(sizeof to == sizeof from);
    std::memcpy(&to, &from, sizeof to);
    return to;
}
static float __uint_as_float(unsigned int value) { return bits<float>(value); }
static unsigned int __float_as_uint(float value) { return bits<unsigned int>(value); }
static double __longlong_as_double(long long value) { return bits<double>(value); }
template <class T> static T atomicAdd(T *at, T value) { return std::atomic_ref<T>(*at).fetch_add(value); }
// Words of the device's memory that all blocks share: how often one had to be waited for.
static const unsigned int *shared_by_all, *shared_end;
static std::atomic<unsigned long long> waits;
template <class T> static T atomicOr(T *at, T value) {
    if (at >= shared_by_all && at < shared_end) ++waits;
    return std::atomic_ref<T>(*at).fetch_or(value);
}
template <class T> static T atomicExch(T *at, T value) { return std::atomic_ref<T>(*at).exchange(value); }
template <class T> static T atomicMin(T *at, T value) {
    std::atomic_ref<T> held(*at);
    T old = held.load();
    while (value < old && !held.compare_exchange_weak(old, value)) {
    }
    return old;
}

#include KERNEL

extern "C" unsigned long long launch(unsigned int blocks, const void *golden, const void *candidate, u64 elements, u64 row_elements,
                       u64 rows, u64 weight, u64 start, u32 mismatch, Partial *partials, u32 *flags, u32 *ticket,
                       Total *total, u32 *hit) {
    gridDim.x = blocks;
    shared_by_all = flags;
    shared_end = flags + rows;
    waits = 0;
    std::vector<std::thread> threads;
    for (unsigned int i = 0; i < THREADS; ++i)
        threads.emplace_back([=] {
            threadIdx.x = i;
            for (unsigned int block = 0; block < blocks; ++block) {
                blockIdx.x = block;
                reduce(golden, candidate, elements, row_elements, rows, weight, start, mismatch, partials, flags, ticket,
                       total, hit);
                barrier.arrive_and_wait();
            }
        });
    for (auto &thread : threads) thread.join();
    return waits;
}
