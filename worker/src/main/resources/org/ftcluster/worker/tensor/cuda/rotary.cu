// Element i of a head's first half is rotated together with element i of its second half, by the
// token's position times frequency i; a block a token. direction is 1, or -1 for the backward.

#define LARGEST_HALF 256

template <int N>
__device__ void turn(TO* x, int heads, int half, const float* cosines, const float* sines) {
  for (int k = threadIdx.x * N; k < heads * half; k += blockDim.x * N) {
    int i = k % half;
    TO* head = x + k / half * 2 * half;
    float a[N], b[N], first[N], second[N];
    read<N>(a, head + i);
    read<N>(b, head + half + i);
    for (int n = 0; n < N; n++) {
      first[n] = a[n] * cosines[i + n] - b[n] * sines[i + n];
      second[n] = b[n] * cosines[i + n] + a[n] * sines[i + n];
    }
    write<N>(head + i, first);
    write<N>(head + half + i, second);
  }
}

extern "C" __global__ void rotate(
    TO* x, long stride, int heads, int half, const int* positions, const float* frequencies, float direction,
    int wide) {
  __shared__ float cosines[LARGEST_HALF];
  __shared__ float sines[LARGEST_HALF];
  for (int i = threadIdx.x; i < half; i += blockDim.x) {
    float angle = positions[blockIdx.x] * frequencies[i];
    cosines[i] = cosf(angle);
    sines[i] = direction * sinf(angle);
  }
  __syncthreads();
  x += blockIdx.x * stride;
  wide ? turn<WIDE>(x, heads, half, cosines, sines) : turn<1>(x, heads, half, cosines, sines);
}
