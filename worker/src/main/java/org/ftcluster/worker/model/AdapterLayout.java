package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;

/**
 * Which linear layers have an adapter, and where its tensors stand in the {@link ParameterBuffer}:
 * layer by layer, module by module, A before B, under PEFT's names.
 */
final class AdapterLayout {
  /** A linear layer's name inside a decoder layer, and its size. */
  record Module(String path, int outputs, int inputs) {
    /** {@code q_proj} of {@code self_attn.q_proj}. */
    String name() {
      return path.substring(path.lastIndexOf('.') + 1);
    }
  }

  private static final String ALL_LINEAR = "all-linear";

  private AdapterLayout() {}

  /** The linear layers of a decoder layer, in the order of their adapters. */
  static List<Module> modules(ModelConfig config) {
    int hidden = config.hiddenSize();
    int feedForward = config.intermediateSize();
    if (config.fusedProjections()) {
      int queryKeyValue = config.querySize() + 2 * config.keyValueSize();
      return List.of(
          new Module("self_attn.qkv_proj", queryKeyValue, hidden),
          new Module("self_attn.o_proj", hidden, config.querySize()),
          new Module("mlp.gate_up_proj", 2 * feedForward, hidden),
          new Module("mlp.down_proj", hidden, feedForward));
    }
    return List.of(
        new Module("self_attn.q_proj", config.querySize(), hidden),
        new Module("self_attn.k_proj", config.keyValueSize(), hidden),
        new Module("self_attn.v_proj", config.keyValueSize(), hidden),
        new Module("self_attn.o_proj", hidden, config.querySize()),
        new Module("mlp.gate_proj", feedForward, hidden),
        new Module("mlp.up_proj", feedForward, hidden),
        new Module("mlp.down_proj", hidden, feedForward));
  }

  /**
   * The modules that {@code target_modules} names.
   *
   * @throws BadJobException when a name matches nothing
   */
  static Set<Module> targets(ModelConfig config, List<String> targetModules) {
    Set<Module> targets = new LinkedHashSet<>();
    List<Module> modules = modules(config);
    for (String target : targetModules) {
      List<Module> matches =
          modules.stream()
              .filter(
                  module ->
                      target.equals(ALL_LINEAR)
                          || module.path().equals(target)
                          || module.name().equals(target))
              .toList();
      if (matches.isEmpty()) {
        throw new BadJobException(
            "adapter.target_modules: %s matches no layer of the model; there are %s, and all-linear for all of them"
                .formatted(target, String.join(", ", modules.stream().map(Module::name).toList())));
      }
      targets.addAll(matches);
    }
    return targets;
  }

  /** PEFT's name for A of the adapter of a linear layer. */
  static String nameOfA(ModelConfig config, String linear) {
    return nameOf(config, linear) + ".lora_A.weight";
  }

  /** PEFT's name for B. */
  static String nameOfB(ModelConfig config, String linear) {
    return nameOf(config, linear) + ".lora_B.weight";
  }

  private static String nameOf(ModelConfig config, String linear) {
    return "base_model.model."
        + (config.isPartOfAnother()
            ? linear.replaceFirst("^model", "model.language_model")
            : linear);
  }

  /** The trained tensors; two for each target in each layer. */
  static List<ParameterBuffer.Slice> slices(ModelConfig config, JobSpec.Adapter adapter) {
    Set<Module> targets = targets(config, adapter.targetModules());
    List<ParameterBuffer.Slice> slices = new ArrayList<>();
    long offset = 0;
    for (int layer = 0; layer < config.layers(); layer++) {
      for (Module module : modules(config)) {
        if (!targets.contains(module)) {
          continue;
        }
        String linear = BaseLayout.layer(layer) + module.path();
        long[] shapeA = {adapter.r(), module.inputs()};
        long[] shapeB = {module.outputs(), adapter.r()};
        slices.add(new ParameterBuffer.Slice(nameOfA(config, linear), shapeA, offset));
        offset += shapeA[0] * shapeA[1];
        slices.add(new ParameterBuffer.Slice(nameOfB(config, linear), shapeB, offset));
        offset += shapeB[0] * shapeB[1];
      }
    }
    return slices;
  }
}
