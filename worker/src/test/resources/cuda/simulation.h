// Runs CUDA C on the host, to check kernels where there is no GPU: blocks run one after the other, and a
// block's threads are coroutines that take turns at barriers.
#include <functional>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <utility>

#define __device__
#define __global__
#define __shared__ static

struct Index {
  unsigned x;
};
static volatile Index blockIdx, blockDim, threadIdx;

namespace simulation {

const int LARGEST_BLOCK = 256;
const int STACK_BYTES = 1 << 15;

struct Thread {
  jmp_buf state;
  bool begun, done;
  unsigned exchanged;
};
static Thread threads[LARGEST_BLOCK];
static jmp_buf scheduler;
static std::function<void()> kernel;

__attribute__((noinline)) static void yield() {
  if (!_setjmp(threads[threadIdx.x].state)) _longjmp(scheduler, 1);
}

// A coroutine serves one thread number, block after block, for good.
static void serve() {
  for (;;) {
    kernel();
    threads[threadIdx.x].done = true;
    yield();
  }
}

static void begin() {
  static ucontext_t contexts[LARGEST_BLOCK];
  ucontext_t& context = contexts[threadIdx.x];
  getcontext(&context);
  context.uc_stack.ss_sp = malloc(STACK_BYTES);
  context.uc_stack.ss_size = STACK_BYTES;
  makecontext(&context, serve, 0);
  setcontext(&context);
}

// Runs a thread to its next barrier, or to its end.
__attribute__((noinline)) static void resume(unsigned number) {
  threadIdx.x = number;
  Thread& thread = threads[number];
  if (_setjmp(scheduler)) return;
  if (thread.begun) _longjmp(thread.state, 1);
  thread.begun = true;
  begin();
}

// Between barriers threads run from first to last, then from last to first: whoever relies on an order shows.
static void run_block() {
  for (unsigned i = 0; i < blockDim.x; i++) threads[i].done = false;
  bool backward = false;
  for (unsigned running = blockDim.x; running > 0; backward = !backward) {
    running = 0;
    for (unsigned i = 0; i < blockDim.x; i++) {
      unsigned number = backward ? blockDim.x - 1 - i : i;
      if (!threads[number].done) resume(number);
      running += !threads[number].done;
    }
  }
}

template <typename... A, size_t... I>
void call(void (*function)(A...), void** arguments, std::index_sequence<I...>) {
  function(*(A*)arguments[I]...);
}

template <typename... A>
void launch(void (*function)(A...), void** arguments, long blocks, int size) {
  kernel = [=] { call(function, arguments, std::index_sequence_for<A...>()); };
  blockDim.x = size;
  for (long block = 0; block < blocks; block++) {
    blockIdx.x = block;
    run_block();
  }
}

}  // namespace simulation

static inline void __syncthreads() {
  asm volatile("" ::: "memory");
  simulation::yield();
  asm volatile("" ::: "memory");
}

static inline unsigned __float_as_uint(float x) {
  unsigned bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float __uint_as_float(unsigned bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static inline float __shfl_xor_sync(unsigned, float x, int mask) {
  simulation::threads[threadIdx.x].exchanged = __float_as_uint(x);
  __syncthreads();
  float other = __uint_as_float(simulation::threads[threadIdx.x ^ mask].exchanged);
  __syncthreads();
  return other;
}

// What launches a kernel: SIMULATED(name) defines simulated_name.
#define SIMULATED(name)                                                                 \
  extern "C" void simulated_##name(void** arguments, long blocks, int threads) {        \
    simulation::launch(name, arguments, blocks, threads);                               \
  }
