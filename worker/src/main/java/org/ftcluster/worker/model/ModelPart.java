package org.ftcluster.worker.model;

import java.util.List;
import java.util.OptionalInt;
import org.ftcluster.protocol.job.BadJobException;

/**
 * What one rank holds of a model: neighbouring layers, and of each of them a slice. The first part
 * has the embedding, too, and the last one the head, both sliced by tokens of the vocabulary.
 *
 * <p>A slice has some of the heads and of the feed-forward's columns: of projections into them it
 * has the outputs that belong there, of those out of them the inputs (arXiv:1909.08053). Where
 * there are fewer key/value heads than slices, several slices hold the same one.
 *
 * @param layers of the model's
 * @param slice of {@code slices}
 * @param shard of {@code shards}: which share of the frozen layers this copy of the part holds,
 *     where copies share them out
 * @param trainedShards among how many ranks what is trained of this part is shared out; 0 where
 *     every rank has all that is trained
 */
public record ModelPart(
    Span layers,
    boolean isFirst,
    boolean isLast,
    int slice,
    int slices,
    int shard,
    int shards,
    int trainedShards) {
  /**
   * A part of a stack of layers.
   *
   * @param layers which of them
   */
  public static ModelPart of(ModelConfig config, Span layers, int slice, int slices) {
    return new ModelPart(
        layers, layers.from() == 0, layers.to() == config.layers(), slice, slices, 0, 1, 0);
  }

  /** The same part as one of several copies that share its frozen layers out. */
  public ModelPart sharded(int shard, int shards) {
    return new ModelPart(layers, isFirst, isLast, slice, slices, shard, shards, trainedShards);
  }

  /** The same part on one of so many ranks that share out what is trained of it. */
  public ModelPart withTrainedShards(int ranks) {
    return new ModelPart(layers, isFirst, isLast, slice, slices, shard, shards, ranks);
  }

  /** All of it. */
  public static ModelPart whole(ModelConfig config) {
    return of(config, new Span(0, config.layers()), 0, 1);
  }

  /** Of all trained tensors those that this part computes with, or another slice of its layers. */
  public List<ParameterBuffer.Slice> trained(List<ParameterBuffer.Slice> all) {
    boolean tied = all.stream().noneMatch(slice -> slice.name().equals(BaseLayout.HEAD));
    return all.stream()
        .filter(
            slice -> {
              OptionalInt layer = BaseLayout.layerOf(slice.name());
              if (layer.isPresent()) {
                return layers.contains(layer.getAsInt());
              }
              return slice.name().equals(BaseLayout.EMBEDDING)
                  ? isFirst || (tied && isLast)
                  : isLast;
            })
        .toList();
  }

  /**
   * Those of which this part's ranks have values: of a head that is the embedding, and in another
   * part, they have not.
   */
  public List<ParameterBuffer.Slice> owned(List<ParameterBuffer.Slice> all) {
    return trained(all).stream()
        .filter(slice -> isFirst || !slice.name().equals(BaseLayout.EMBEDDING))
        .toList();
  }

  boolean isWhole() {
    return isFirst && isLast && slices == 1;
  }

  /**
   * Refuses a number of slices that heads can't be dealt to.
   *
   * @throws BadJobException which names the next smaller number that works
   */
  public static void checkSlices(ModelConfig config, int slices) {
    if (!canSlice(config, slices)) {
      int fewer = slices - 1;
      while (!canSlice(config, fewer)) {
        fewer--;
      }
      throw new BadJobException(
          "parallel.tensor is %d, but the model's %d heads and %d key/value heads can't be shared out among as many; %d would work."
              .formatted(slices, config.heads(), config.keyValueHeads(), fewer));
    }
  }

  /** Whether heads can be dealt to that many slices. */
  public static boolean canSlice(ModelConfig config, int slices) {
    return config.heads() % slices == 0
        && (config.keyValueHeads() % slices == 0 || slices % config.keyValueHeads() == 0);
  }

  /** The model's shape as far as a layer of this slice is concerned. */
  ModelConfig sliced(ModelConfig config) {
    return config.withHeads(heads(config).size(), keyValueHeads(config).size());
  }

  /** Tokens whose rows of embedding and head this slice holds. */
  Span vocabulary(ModelConfig config) {
    return Span.of(config.vocabularySize(), slice, slices);
  }

  /** Which elements of a module's weight this slice holds for a projection. */
  Piece piece(ModelConfig config, Projection projection) {
    int head = config.headSize();
    return switch (projection.kind()) {
      case QUERY -> projection.withOutputs(heads(config).times(head));
      case KEY, VALUE -> projection.withOutputs(keyValueHeads(config).times(head));
      case OUTPUT -> projection.piece().withColumns(heads(config).times(head));
      case GATE, UP -> projection.withOutputs(feedForward(config));
      case DOWN -> projection.piece().withColumns(feedForward(config));
    };
  }

  /**
   * Whether this slice adds what would otherwise be there once a slice: the biases of layers whose
   * inputs are sliced.
   */
  boolean addsWhatIsWhole() {
    return slice == 0;
  }

  private Span heads(ModelConfig config) {
    return Span.of(config.heads(), slice, slices);
  }

  private Span keyValueHeads(ModelConfig config) {
    Span heads = heads(config);
    int group = config.groupSize();
    return new Span(heads.from() / group, Math.ceilDiv(heads.to(), group));
  }

  private Span feedForward(ModelConfig config) {
    return Span.of(config.intermediateSize(), slice, slices);
  }
}
