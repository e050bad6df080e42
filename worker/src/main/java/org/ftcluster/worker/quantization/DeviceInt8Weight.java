package org.ftcluster.worker.quantization;

import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Profile;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/**
 * An {@link Int8Weight} in an accelerator's memory.
 *
 * @param codes int8 [rows, columns]
 * @param absmax float32 [rows]
 */
record DeviceInt8Weight(long columns, DType expandedType, Storage codes, Tensor absmax)
    implements DeviceWeight {
  @Override
  public long rows() {
    return absmax.elements();
  }

  @Override
  public long bytes() {
    return codes.held() + Float.BYTES * absmax.elements();
  }

  @Override
  public Tensor expand(Scope scope) {
    Tensor out = scope.empty(expandedType, rows(), columns);
    long threads = Math.ceilDiv(out.elements(), (long) ELEMENTS_A_THREAD);
    long start = Profile.begin();
    out.device()
        .launch(
            new Kernel("int8", "int8_expand", expandedType),
            Math.ceilDiv(threads, (long) out.device().blockThreads()),
            out,
            codes.bytes(),
            absmax,
            columns,
            out.elements());
    if (Profile.isActive()) {
      out.device().synchronize();
      Profile.ended("int8 expansion", start, 0, out.elements() * (1.0 + expandedType.bytes()));
    }
    return out;
  }
}
