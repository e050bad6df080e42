package org.ftcluster.worker.model;

import java.util.List;
import org.ftcluster.worker.model.AdapterLayout.Module;

/**
 * One of the products of a decoder layer, and the rows of the stored matrix that it multiplies
 * with. Most models store a matrix for each product; Phi-3 stores those of one input as one, row
 * below row, which then have one adapter.
 *
 * @param outputs rows of the module's weight
 */
record Projection(Kind kind, Module module, Span outputs) {
  enum Kind {
    QUERY,
    KEY,
    VALUE,
    OUTPUT,
    GATE,
    UP,
    DOWN
  }

  /** Those of a module, from its first row to its last. */
  static List<Projection> of(ModelConfig config, Module module) {
    return switch (module.name()) {
      case "q_proj" -> List.of(all(module, Kind.QUERY));
      case "k_proj" -> List.of(all(module, Kind.KEY));
      case "v_proj" -> List.of(all(module, Kind.VALUE));
      case "o_proj" -> List.of(all(module, Kind.OUTPUT));
      case "gate_proj" -> List.of(all(module, Kind.GATE));
      case "up_proj" -> List.of(all(module, Kind.UP));
      case "down_proj" -> List.of(all(module, Kind.DOWN));
      case "qkv_proj" -> {
        int keys = config.querySize();
        int values = keys + config.keyValueSize();
        yield List.of(
            new Projection(Kind.QUERY, module, new Span(0, keys)),
            new Projection(Kind.KEY, module, new Span(keys, values)),
            new Projection(Kind.VALUE, module, new Span(values, module.outputs())));
      }
      case "gate_up_proj" -> {
        int up = config.intermediateSize();
        yield List.of(
            new Projection(Kind.GATE, module, new Span(0, up)),
            new Projection(Kind.UP, module, new Span(up, module.outputs())));
      }
      default -> throw new IllegalArgumentException("no rule for " + module.path());
    };
  }

  private static Projection all(Module module, Kind kind) {
    return new Projection(kind, module, new Span(0, module.outputs()));
  }

  /** Whether no other of the same module comes before it. */
  boolean isFirst() {
    return outputs.from() == 0;
  }

  /** All of it, in the module's weight. */
  Piece piece() {
    return new Piece(outputs, new Span(0, module.inputs()));
  }

  /**
   * Some of its outputs, in the module's weight.
   *
   * @param some counted from its first
   */
  Piece withOutputs(Span some) {
    return piece().withRows(some.after(outputs.from()));
  }
}
