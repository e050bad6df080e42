// Moving and adding rows of matrices; a block a row unless it says otherwise.

template <int N>
__device__ void move(TO* to, const FROM* from, int width) {
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float v[N];
    read<N>(v, from + i);
    write<N>(to + i, v);
  }
}

template <int N>
__device__ void accumulate(TO* to, const FROM* from, int width) {
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float v[N], sum[N];
    read<N>(v, from + i);
    read<N>(sum, to + i);
    for (int k = 0; k < N; k++) sum[k] += v[k];
    write<N>(to + i, sum);
  }
}

// to = from
extern "C" __global__ void rows_convert(
    TO* to, long strideTo, const FROM* from, long strideFrom, int width, int wide) {
  to += blockIdx.x * strideTo;
  from += blockIdx.x * strideFrom;
  wide ? move<WIDE>(to, from, width) : move<1>(to, from, width);
}

// to += from
extern "C" __global__ void rows_add(
    TO* to, long strideTo, const FROM* from, long strideFrom, int width, int wide) {
  to += blockIdx.x * strideTo;
  from += blockIdx.x * strideFrom;
  wide ? accumulate<WIDE>(to, from, width) : accumulate<1>(to, from, width);
}

// to[n] = from[rows[n]]
extern "C" __global__ void rows_gather(
    TO* to, long strideTo, const FROM* from, long strideFrom, const int* rows, int width, int wide) {
  to += blockIdx.x * strideTo;
  from += rows[blockIdx.x] * strideFrom;
  wide ? move<WIDE>(to, from, width) : move<1>(to, from, width);
}

// to[targets[b]] += from[n] for n of sources[starts[b]] to sources[starts[b + 1]], in that order; a block
// a target, none of which is named twice.
extern "C" __global__ void rows_scatter_add(
    TO* to, long strideTo, const FROM* from, long strideFrom, const int* targets, const int* starts,
    const int* sources, int width, int wide) {
  to += targets[blockIdx.x] * strideTo;
  for (int s = starts[blockIdx.x]; s < starts[blockIdx.x + 1]; s++) {
    const FROM* row = from + sources[s] * strideFrom;
    wide ? accumulate<WIDE>(to, row, width) : accumulate<1>(to, row, width);
  }
}

// to[n] = vector, for every n
extern "C" __global__ void rows_fill(TO* to, long strideTo, const FROM* vector, int width, int wide) {
  to += blockIdx.x * strideTo;
  wide ? move<WIDE>(to, vector, width) : move<1>(to, vector, width);
}

// The sums of the columns, over rows in their order; a thread a column.
extern "C" __global__ void rows_sum(float* sums, const FROM* from, long strideFrom, long rows, int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= width) return;
  float sum = 0;
  for (long n = 0; n < rows; n++) sum += get(from[n * strideFrom + i]);
  sums[i] = sum;
}

// The output function of SplitMix64.
__device__ inline unsigned long mix(unsigned long z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9UL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebUL;
  return z ^ (z >> 31);
}

// to = scale from, or 0 where a number made of the seed and the element's place is below threshold; or that is added
// to what is there. The row is the columns from firstColumn on of one of wholeWidth.
extern "C" __global__ void rows_drop(
    TO* to, long strideTo, const FROM* from, long strideFrom, int width, int add, long threshold, float scale,
    long seed, long firstColumn, long wholeWidth) {
  to += blockIdx.x * strideTo;
  from += blockIdx.x * strideFrom;
  unsigned long first = (unsigned long)(blockIdx.x * wholeWidth + firstColumn);
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    unsigned long random = mix((unsigned long)seed + (first + i) * 0x9E3779B97F4A7C15UL) >> 32;
    float kept = random < (unsigned long)threshold ? 0 : get(from[i]) * scale;
    put(to[i], add ? get(to[i]) + kept : kept);
  }
}
