// What is done to each element by itself; a block a row.

template <int N>
__device__ void multiply(TO* x, float factor, int width) {
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float v[N];
    read<N>(v, x + i);
    for (int k = 0; k < N; k++) v[k] *= factor;
    write<N>(x + i, v);
  }
}

// x *= factor
extern "C" __global__ void scale(TO* x, long stride, float factor, int width, int wide) {
  x += blockIdx.x * stride;
  wide ? multiply<WIDE>(x, factor, width) : multiply<1>(x, factor, width);
}

template <int N>
__device__ void limit(TO* x, float cap, int width) {
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float v[N];
    read<N>(v, x + i);
    for (int k = 0; k < N; k++) v[k] = cap * tanhf(v[k] / cap);
    write<N>(x + i, v);
  }
}

// x = cap tanh(x / cap)
extern "C" __global__ void cap(TO* x, long stride, float cap, int width, int wide) {
  x += blockIdx.x * stride;
  wide ? limit<WIDE>(x, cap, width) : limit<1>(x, cap, width);
}

template <int N>
__device__ void multiply_slopes(TO* dx, const TO* y, float cap, int width) {
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float g[N], v[N];
    read<N>(g, dx + i);
    read<N>(v, y + i);
    for (int k = 0; k < N; k++) g[k] *= 1 - v[k] / cap * (v[k] / cap);
    write<N>(dx + i, g);
  }
}

// dx *= 1 - (y / cap)^2
extern "C" __global__ void cap_backward(
    TO* dx, long strideDx, const TO* y, long strideY, float cap, int width, int wide) {
  dx += blockIdx.x * strideDx;
  y += blockIdx.x * strideY;
  wide ? multiply_slopes<WIDE>(dx, y, cap, width) : multiply_slopes<1>(dx, y, cap, width);
}
