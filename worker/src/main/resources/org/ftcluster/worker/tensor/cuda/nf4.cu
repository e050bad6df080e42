// NF4 codes to values: blocks of 64 elements share a scale, a byte holds two codes, the even element's in
// its high half. A thread expands 8 elements.
//
// book [16] are the codes' values; doubly quantized scales are codes of map [256] times their group's
// factor, plus the offset; a group is 256 blocks, and block 0 is the first-th of its group.

__device__ inline void expand(
    TO* out, const unsigned char* packed, const float* book, float scale, long start, long elements) {
  if (start + WIDE <= elements) {
    unsigned word = *(const unsigned*)(packed + start / 2);
    float values[WIDE];
    for (int i = 0; i < WIDE; i++) {
      int code = word >> (i / 2 * 8 + (i % 2 ? 0 : 4)) & 0xF;
      values[i] = book[code] * scale;
    }
    write<WIDE>(out + start, values);
    return;
  }
  for (long i = start; i < elements; i++) {
    int pair = packed[i / 2];
    put(out[i], book[i % 2 ? pair & 0xF : pair >> 4] * scale);
  }
}

extern "C" __global__ void nf4_expand(
    TO* out, const unsigned char* packed, const float* absmax, const float* book, long elements) {
  __shared__ float codes[16];
  if (threadIdx.x < 16) codes[threadIdx.x] = book[threadIdx.x];
  __syncthreads();
  long start = ((long)blockIdx.x * blockDim.x + threadIdx.x) * WIDE;
  if (start < elements) expand(out, packed, codes, absmax[start / 64], start, elements);
}

extern "C" __global__ void nf4_expand_double(
    TO* out, const unsigned char* packed, const unsigned char* absmax, const float* groups, const float* map,
    const float* book, float offset, int first, long elements) {
  __shared__ float codes[16];
  if (threadIdx.x < 16) codes[threadIdx.x] = book[threadIdx.x];
  __syncthreads();
  long start = ((long)blockIdx.x * blockDim.x + threadIdx.x) * WIDE;
  if (start >= elements) return;
  long block = start / 64;
  float scale = map[absmax[block]] * groups[(first + block) / 256] + offset;
  expand(out, packed, codes, scale, start, elements);
}
