package org.ftcluster.worker.model;

import java.util.List;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.tensor.kernel.GatedUnit;
import org.ftcluster.worker.tensor.kernel.Scores;
import org.jspecify.annotations.Nullable;

/**
 * What {@code config.json} says of a decoder-only model.
 *
 * @param logitCap of logits, as scores are capped; 0 for none
 * @param slidingWindow tokens that attention looks back over, the present one included; 0 for all
 * @param local the layers of which the last two say otherwise; null where there are none
 * @param headNorms whether queries and keys are normed, see {@link HeadNorms}
 * @param tiedHead whether the head's weight is the embedding
 */
public record ModelConfig(
    Architecture architecture,
    int hiddenSize,
    int intermediateSize,
    int layers,
    int heads,
    int keyValueHeads,
    int headSize,
    int vocabularySize,
    double normEps,
    Scores scores,
    double logitCap,
    Rotary rotary,
    int slidingWindow,
    @Nullable LocalLayers local,
    Biases biases,
    boolean headNorms,
    boolean tiedHead) {

  /**
   * Model classes, under their names in Transformers. Falcon3 is a {@code LlamaForCausalLM}, Phi-4
   * a {@code Phi3ForCausalLM}.
   */
  public enum Architecture {
    LLAMA("LlamaForCausalLM"),
    MISTRAL("MistralForCausalLM"),
    QWEN2("Qwen2ForCausalLM"),
    QWEN3("Qwen3ForCausalLM"),
    PHI3("Phi3ForCausalLM"),
    GEMMA2("Gemma2ForCausalLM"),
    GEMMA3("Gemma3ForCausalLM"),
    /** Of models that see, too, the language model alone. */
    GEMMA3_OF_VISION("Gemma3ForConditionalGeneration");

    private final String className;

    Architecture(String className) {
      this.className = className;
    }

    public String className() {
      return className;
    }

    boolean isGemma() {
      return this == GEMMA2 || isGemma3();
    }

    boolean isGemma3() {
      return this == GEMMA3 || this == GEMMA3_OF_VISION;
    }
  }

  /**
   * Rotary embedding.
   *
   * @param size elements of a head that are rotated, its first ones
   */
  public record Rotary(double theta, int size, @Nullable RopeScaling scaling) {}

  /** How rotary frequencies are stretched for longer contexts. */
  public sealed interface RopeScaling {
    /** All frequencies divided by {@code factor}. */
    record Linear(double factor) implements RopeScaling {}

    /** Llama 3.1's: low frequencies divided by {@code factor}, high ones kept, a ramp between. */
    record Llama3(
        double factor, double lowFrequencyFactor, double highFrequencyFactor, int originalContext)
        implements RopeScaling {}

    /**
     * Phi-3's (arXiv:2402.13753): each frequency divided by a factor of its own. Sequences of more
     * than the original context would need another set of factors.
     *
     * @param factors one for each frequency
     * @param magnitude by which what is rotated grows
     */
    record LongRope(List<Double> factors, double magnitude, int originalContext)
        implements RopeScaling {
      public LongRope {
        factors = List.copyOf(factors);
      }
    }
  }

  /**
   * Layers that look back over a window where the others look back over all tokens.
   *
   * @param are whether a layer is one of them, layer by layer
   */
  public record LocalLayers(List<Boolean> are, Rotary rotary, int slidingWindow) {
    public LocalLayers {
      are = List.copyOf(are);
    }
  }

  /**
   * Which linear layers add a bias.
   *
   * @param qkv projections to queries, keys and values
   * @param output of attention
   * @param feedForward all three of its projections
   */
  public record Biases(boolean qkv, boolean output, boolean feedForward) {}

  /**
   * The same as far as a layer is concerned: {@link #rotary} and {@link #slidingWindow} are its.
   */
  ModelConfig ofLayer(int layer) {
    return local != null && local.are().get(layer)
        ? with(heads, keyValueHeads, local.rotary(), local.slidingWindow())
        : this;
  }

  /** The same with other heads. */
  ModelConfig withHeads(int heads, int keyValueHeads) {
    return with(heads, keyValueHeads, rotary, slidingWindow);
  }

  private ModelConfig with(int heads, int keyValueHeads, Rotary rotary, int slidingWindow) {
    return new ModelConfig(
        architecture,
        hiddenSize,
        intermediateSize,
        layers,
        heads,
        keyValueHeads,
        headSize,
        vocabularySize,
        normEps,
        scores,
        logitCap,
        rotary,
        slidingWindow,
        local,
        biases,
        headNorms,
        tiedHead);
  }

  /** Tokens of the longest sequence that rotary frequencies are known for. */
  public int longestSequence() {
    return rotary.scaling() instanceof RopeScaling.LongRope longRope
        ? longRope.originalContext()
        : Integer.MAX_VALUE;
  }

  /**
   * Refuses sequences that are too long for the model.
   *
   * @param tokens that a sequence may have
   */
  public void checkLength(int tokens) {
    if (tokens > longestSequence()) {
      throw new BadJobException(
          "sequences may have %,d tokens here (max_length), but the model's rotary embedding reaches %,d: longrope's factors for longer ones are not supported."
              .formatted(tokens, longestSequence()));
    }
  }

  /** G: query heads a key/value head. */
  public int groupSize() {
    return heads / keyValueHeads;
  }

  /**
   * Whether query, key and value projections are stored as one matrix, and gate and up projections
   * as another.
   */
  boolean fusedProjections() {
    return architecture == Architecture.PHI3;
  }

  /** Whether the model is a part of another one, of which the rest isn't known here. */
  boolean isPartOfAnother() {
    return architecture == Architecture.GEMMA3_OF_VISION;
  }

  /** What a layer's feed-forward multiplies the up projection with, of the gate projection. */
  GatedUnit activation() {
    return architecture.isGemma() ? GatedUnit.GEGLU : GatedUnit.SWIGLU;
  }

  /** Whether attention's and the feed-forward's results are normed before they are added. */
  boolean outputNorms() {
    return architecture.isGemma();
  }

  /** What is added to the weights of norms. */
  float normOffset() {
    return architecture.isGemma() ? 1 : 0;
  }

  /** What a token's embedding is multiplied with. */
  double embeddingScale() {
    return architecture.isGemma() ? Math.sqrt(hiddenSize) : 1;
  }

  /** Weights of a layer's matrices. */
  public long layerWeights() {
    long attention = 2L * querySize() + 2L * keyValueSize();
    return hiddenSize * (attention + 3L * intermediateSize);
  }

  /** H C: columns of all query heads. */
  public int querySize() {
    return heads * headSize;
  }

  /** K C: columns of all key (or value) heads. */
  public int keyValueSize() {
    return keyValueHeads * headSize;
  }
}
