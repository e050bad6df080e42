package org.ftcluster.worker.model;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What {@code config.json} says of a decoder-only model of the Llama family.
 *
 * @param qkvBias whether query, key and value projections have a bias
 * @param outputBias whether attention's output projection has one
 * @param headNorms whether queries and keys are normed, see {@link HeadNorms}
 * @param rotarySize elements of a head that are rotated, its first ones
 * @param slidingWindow tokens that attention looks back over, the present one included; 0 for all
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
    double ropeTheta,
    int rotarySize,
    @Nullable RopeScaling ropeScaling,
    int slidingWindow,
    boolean qkvBias,
    boolean outputBias,
    boolean mlpBias,
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
    PHI3("Phi3ForCausalLM");

    private final String className;

    Architecture(String className) {
      this.className = className;
    }

    public String className() {
      return className;
    }
  }

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

  /** G: query heads a key/value head. */
  public int groupSize() {
    return heads / keyValueHeads;
  }

  /** The same with other heads. */
  ModelConfig withHeads(int heads, int keyValueHeads) {
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
        ropeTheta,
        rotarySize,
        ropeScaling,
        slidingWindow,
        qkvBias,
        outputBias,
        mlpBias,
        headNorms,
        tiedHead);
  }

  /**
   * Whether query, key and value projections are stored as one matrix, and gate and up projections
   * as another.
   */
  boolean fusedProjections() {
    return architecture == Architecture.PHI3;
  }

  /** What scores are multiplied with before the softmax. */
  public double attentionScale() {
    return 1 / Math.sqrt(headSize);
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
