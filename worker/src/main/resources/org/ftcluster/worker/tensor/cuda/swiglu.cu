// y = silu(gate) up, silu(g) = g sigma(g); a block a row.

__device__ inline float sigmoid(float x) { return 1 / (1 + expf(-x)); }

template <int N>
__device__ void forward(TO* y, const TO* gate, const TO* up, int width) {
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float g[N], u[N];
    read<N>(g, gate + i);
    read<N>(u, up + i);
    for (int k = 0; k < N; k++) g[k] = g[k] * sigmoid(g[k]) * u[k];
    write<N>(y + i, g);
  }
}

extern "C" __global__ void swiglu(
    TO* y, long strideY, const TO* gate, long strideGate, const TO* up, long strideUp, int width, int wide) {
  y += blockIdx.x * strideY;
  gate += blockIdx.x * strideGate;
  up += blockIdx.x * strideUp;
  wide ? forward<WIDE>(y, gate, up, width) : forward<1>(y, gate, up, width);
}

// gate becomes dgate = dy up (sigma + silu - silu sigma), up becomes dup = dy silu, y the activation.
template <int N>
__device__ void backward(TO* y, TO* gate, TO* up, const TO* dy, int width) {
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float g[N], u[N], d[N], a[N];
    read<N>(g, gate + i);
    read<N>(u, up + i);
    read<N>(d, dy + i);
    for (int k = 0; k < N; k++) {
      float s = sigmoid(g[k]);
      float silu = g[k] * s;
      a[k] = silu * u[k];
      g[k] = d[k] * u[k] * (s + silu - silu * s);
      u[k] = d[k] * silu;
    }
    write<N>(y + i, a);
    write<N>(gate + i, g);
    write<N>(up + i, u);
  }
}

extern "C" __global__ void swiglu_backward(
    TO* y, long strideY, TO* gate, long strideGate, TO* up, long strideUp, const TO* dy, long strideDy,
    int width, int wide) {
  y += blockIdx.x * strideY;
  gate += blockIdx.x * strideGate;
  up += blockIdx.x * strideUp;
  dy += blockIdx.x * strideDy;
  wide ? backward<WIDE>(y, gate, up, dy, width) : backward<1>(y, gate, up, dy, width);
}
