package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.Accelerator;

/**
 * A copy of a {@link ParameterBuffer} in an accelerator's memory: layers compute with its values,
 * and leave gradients there. Of the accelerator's thread.
 */
public final class DeviceParameters implements AutoCloseable {
  private final ParameterBuffer buffer;
  private final Accelerator device;
  private final MemorySegment values;
  private final MemorySegment gradients;

  /** Whether the buffer's values are older. */
  private boolean ahead;

  /** Zeros. */
  DeviceParameters(ParameterBuffer buffer, Accelerator device) {
    this.buffer = buffer;
    this.device = device;
    values = zeros();
    gradients = zeros();
  }

  private MemorySegment zeros() {
    MemorySegment memory = device.allocate(Math.max(1, buffer.size()) * Float.BYTES);
    device.clear(memory);
    return memory;
  }

  public Accelerator device() {
    return device;
  }

  /** Parameters, with the gaps between them. */
  public long size() {
    return buffer.size();
  }

  /** The accelerator's memory, float32: what layers compute with. */
  public MemorySegment values() {
    return values;
  }

  /** The accelerator's memory, float32: what the micro-batch at hand leaves. */
  public MemorySegment gradients() {
    return gradients;
  }

  /** Takes over what was written to the buffer's values, unless these here are newer. */
  void takeValues() {
    if (!ahead) {
      device.upload(values, buffer.values());
    }
  }

  /** To be called before values are written here: the buffer's are older until they are brought. */
  public void valuesWritten() {
    ahead = true;
  }

  /** Brings the values to the buffer, which has the newest ones from then on, come what may. */
  public void bringValues() {
    ahead = false;
    device.download(buffer.values(), values);
  }

  /** Brings all gradients to the buffer. */
  void bringGradients() {
    device.download(buffer.gradients(), gradients);
  }

  @Override
  public void close() {
    device.free(values);
    device.free(gradients);
  }
}
