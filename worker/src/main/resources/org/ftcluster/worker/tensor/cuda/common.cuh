// What all kernels share. A file is compiled for one pair of element types: TO and FROM are float or
// bfloat16; a kernel of one type calls it TO. All arithmetic is float32 unless it says so.
//
// A block has THREADS threads, a whole number of warps.

// A type of our own, so no header of CUDA's is needed; rounded to nearest, ties to even.
struct bfloat16 {
  unsigned short bits;
};

__device__ inline float get(float x) { return x; }

__device__ inline float get(bfloat16 x) { return __uint_as_float((unsigned)x.bits << 16); }

__device__ inline void put(float& to, float x) { to = x; }

__device__ inline void put(bfloat16& to, float x) {
  unsigned bits = __float_as_uint(x);
  to.bits = (unsigned short)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// Neighbouring elements that a thread moves at once: one access of 16 bytes, or two. Their address
// is a multiple of 16 where there are WIDE of them.
#define WIDE 8

template <int N, typename T>
struct alignas(N == WIDE ? 16 : sizeof(T)) Pack {
  T at[N];
};

template <int N, typename T>
__device__ inline void read(float (&to)[N], const T* from) {
  Pack<N, T> pack = *(const Pack<N, T>*)from;
  for (int i = 0; i < N; i++) to[i] = get(pack.at[i]);
}

template <int N, typename T>
__device__ inline void write(T* to, const float (&from)[N]) {
  Pack<N, T> pack;
  for (int i = 0; i < N; i++) put(pack.at[i], from[i]);
  *(Pack<N, T>*)to = pack;
}

// The sum, or the largest, over the block's threads, in all of them.
template <typename Combine>
__device__ inline float block_combine(float x, Combine combine) {
  __shared__ float parts[32];
  for (int step = 16; step > 0; step /= 2) x = combine(x, __shfl_xor_sync(0xFFFFFFFFu, x, step));
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  x = parts[0];
  for (int warp = 1; warp < (int)blockDim.x / 32; warp++) x = combine(x, parts[warp]);
  __syncthreads();
  return x;
}

__device__ inline float block_sum(float x) {
  return block_combine(x, [](float a, float b) { return a + b; });
}

__device__ inline float block_max(float x) {
  return block_combine(x, [](float a, float b) { return fmaxf(a, b); });
}

#define INFINITE __uint_as_float(0x7F800000u)
