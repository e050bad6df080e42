package org.ftcluster.worker.model;

import org.jspecify.annotations.Nullable;

/**
 * What {@code config.json} says of a decoder-only model of the Llama family.
 *
 * @param qkvBias whether query, key and value projections have a bias
 * @param outputBias whether attention's output projection has one
 * @param headNorms whether queries and keys are normed, see {@link HeadNorms}
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
    @Nullable RopeScaling ropeScaling,
    int slidingWindow,
    boolean qkvBias,
    boolean outputBias,
    boolean mlpBias,
    boolean headNorms,
    boolean tiedHead) {

  /** Model classes, under their names in Transformers. Falcon3 is a {@code LlamaForCausalLM}. */
  public enum Architecture {
    LLAMA("LlamaForCausalLM"),
    MISTRAL("MistralForCausalLM"),
    QWEN2("Qwen2ForCausalLM"),
    QWEN3("Qwen3ForCausalLM");

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
        ropeScaling,
        slidingWindow,
        qkvBias,
        outputBias,
        mlpBias,
        headNorms,
        tiedHead);
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
