package org.ftcluster.worker.model;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/** The trained parameters by name. */
final class TrainedTensors {
  private final Map<String, Parameter> byName = new LinkedHashMap<>();

  /**
   * @param scope where copies stay
   * @param computeType what products are computed in; vectors are used in float32
   */
  TrainedTensors(Scope scope, ParameterBuffer parameters, DType computeType) {
    for (ParameterBuffer.Slice slice : parameters.slices()) {
      DType type = slice.shape().length > 1 ? computeType : DType.FLOAT32;
      byName.put(slice.name(), Parameter.trained(scope, parameters, slice, type));
    }
  }

  /** Null where the job doesn't train it. */
  @Nullable Parameter get(String name) {
    return byName.get(name);
  }

  /** The trained parameter of that name, or a frozen one. */
  Parameter getOr(String name, Supplier<Tensor> frozen) {
    Parameter trained = byName.get(name);
    return trained != null ? trained : Parameter.frozen(frozen.get());
  }

  /** Bytes of the copies in the type that products are computed in. */
  long copyBytes() {
    return byName.values().stream().mapToLong(Parameter::copyBytes).sum();
  }

  /** Takes over what was written to the parameter buffer. */
  void changed() {
    byName.values().forEach(Parameter::changed);
  }
}
