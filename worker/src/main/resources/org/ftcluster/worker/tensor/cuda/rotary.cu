// Of the first elements of a head, element i of the first half is rotated together with element i of
// the second half, by the token's position times frequency i, and multiplied by the magnitude; a block
// a token. half: elements of such a half; direction: 1, or -1 for the backward.

#define LARGEST_HALF 256

template <int N>
__device__ void turn(TO* x, int heads, int size, int half, const float* cosines, const float* sines) {
  for (int k = threadIdx.x * N; k < heads * half; k += blockDim.x * N) {
    int i = k % half;
    TO* head = x + k / half * size;
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
    TO* x, long stride, int heads, int size, int half, const int* positions, const float* frequencies,
    float magnitude, float direction, int wide) {
  __shared__ float cosines[LARGEST_HALF];
  __shared__ float sines[LARGEST_HALF];
  for (int i = threadIdx.x; i < half; i += blockDim.x) {
    float angle = positions[blockIdx.x] * frequencies[i];
    cosines[i] = magnitude * cosf(angle);
    sines[i] = direction * magnitude * sinf(angle);
  }
  __syncthreads();
  x += blockIdx.x * stride;
  wide ? turn<WIDE>(x, heads, size, half, cosines, sines) : turn<1>(x, heads, size, half, cosines, sines);
}
