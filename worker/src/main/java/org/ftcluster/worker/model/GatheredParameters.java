package org.ftcluster.worker.model;

import static org.ftcluster.worker.model.PartUnits.EMBEDDING;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.IntFunction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.Profile;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * What is trained of a part's layers, where each rank has a share of its values only
 * (arXiv:1910.02054, stage 3; arXiv:2304.11277): a {@link ParameterUnit} is put together from all
 * shares when it is about to be used, a layer one layer ahead, in the type that products are
 * computed in. Layers take turns in two rooms, so that each always has the same one; embedding and
 * head share a third. Gradients have the same rooms: a layer's are on their way while those of the
 * next one come about.
 *
 * <p>Where the head is the embedding, and in another stage, that gets its share from the stage that
 * has it, whenever it has changed.
 *
 * <p>All ranks make the same calls in the same order. Used by the thread that runs the model.
 */
final class GatheredParameters {
  private final ModelPart part;
  private final PartUnits units;
  private final int shards;
  private final DType type;
  private final SharedVectors vectors;
  private final OwnShares own;
  private final Map<Integer, GatherRoom> rooms = new HashMap<>();

  /** A share of the embedding that another stage has lent; null where none does. */
  private final @Nullable Tensor lent;

  private @Nullable Connection connection;
  private boolean isOld = true;

  /**
   * @param ranks by share
   * @param stages by stage
   * @param shares this rank's, float32, by unit
   */
  private record Connection(
      Communicator ranks,
      Communicator stages,
      IntFunction<MemorySegment> shares,
      Duration timeout) {}

  /**
   * @param scope where rooms stay
   * @param units of the whole model
   * @param part what of it is here, and how many ranks share it out
   * @param type that matrices are used in
   * @param tied whether the embedding is the head, too
   */
  GatheredParameters(
      Scope scope, List<ParameterUnit> units, ModelPart part, DType type, boolean tied) {
    this.part = part;
    this.units = new PartUnits(units, part, tied);
    this.shards = part.trainedShards();
    this.type = type;
    this.vectors = new SharedVectors(scope, this.units, shards);
    for (int room = 0; room < PartUnits.ROOMS; room++) {
      long size = this.units.largestIn(room);
      if (size > 0) {
        rooms.put(room, new GatherRoom(scope, type, size, shards));
      }
    }
    this.own = OwnShares.of(scope, type, this.units, shards);
    this.lent =
        this.units.borrowsEmbedding()
            ? scope.empty(type, this.units.get(EMBEDDING).share(shards))
            : null;
  }

  private GatherRoom room(int unit) {
    return Objects.requireNonNull(rooms.get(units.roomOf(unit)), "another part's unit");
  }

  /** As the layers use it: a matrix in the type of products, a vector in float32. */
  Tensor value(ParameterBuffer.Slice slice) {
    int unit = units.of(slice);
    return SharedVectors.isVector(slice)
        ? vectors.value(slice)
        : piece(room(unit).values(), unit, slice);
  }

  /** float32. */
  Tensor gradient(ParameterBuffer.Slice slice) {
    int unit = units.of(slice);
    return piece(room(unit).gradients(), unit, slice);
  }

  private Tensor piece(Tensor room, int unit, ParameterBuffer.Slice slice) {
    long from = slice.offset() - units.get(unit).from();
    return room.slice(0, from, from + slice.size()).view(slice.shape());
  }

  /** Bytes of all rooms. */
  long bytes() {
    long bytes = vectors.bytes() + own.bytes();
    bytes += lent == null ? 0 : lent.elements() * type.bytes();
    for (GatherRoom room : rooms.values()) {
      bytes += room.bytes();
    }
    return bytes;
  }

  /**
   * Connects the ranks that hold the shares, for a generation.
   *
   * @param ranks by share
   * @param stages the ranks that hold the same of the other stages, by stage
   * @param shares this rank's, float32, by unit; asked for whenever one is needed
   * @param timeout for a unit
   */
  void connect(
      Communicator ranks,
      Communicator stages,
      IntFunction<MemorySegment> shares,
      Duration timeout) {
    if (ranks.size() != shards) {
      throw new IllegalArgumentException("%d ranks for %d shares".formatted(ranks.size(), shards));
    }
    connection = new Connection(ranks, stages, shares, timeout);
    rooms.values().forEach(GatherRoom::disconnect);
    own.forget();
    isOld = true;
  }

  /** Values are others now: whatever was gathered is old. */
  void changed() {
    isOld = true;
    own.forget();
    rooms.values().forEach(GatherRoom::forget);
  }

  /**
   * Gets what is here all the time from those who have it, if that has changed. Happens by itself
   * with the first unit that is needed, which is too late where other stages are waited for before.
   */
  void refresh() {
    if (!isOld) {
      return;
    }
    Connection to = connected();
    vectors.gather(to.ranks(), to.shares(), to.timeout());
    Communicator stages = to.stages();
    if (lent != null) {
      stages.recv(lent.address(), 0).await(to.timeout());
    } else if (units.lendsEmbedding()) {
      stages.send(share(EMBEDDING), stages.size() - 1).await(to.timeout());
    }
    isOld = false;
  }

  /** This rank's, of a unit, as it goes to others. */
  private MemorySegment share(int unit) {
    return unit == EMBEDDING && lent != null
        ? lent.address()
        : own.of(unit, connected().shares().apply(unit));
  }

  void beforeEmbedding() {
    need(EMBEDDING);
    fetch(units.ofLayer(0));
  }

  void afterEmbedding() {
    if (part.isLast()) {
      fetch(units.last());
    }
  }

  void beforeForward(int layer) {
    need(units.ofLayer(layer));
    if (layer + 1 < part.layers().size()) {
      fetch(units.ofLayer(layer + 1));
    }
  }

  void beforeHead() {
    need(units.last());
    if (units.tied()) {
      need(EMBEDDING);
    }
  }

  void beforeBackward(int layer) {
    need(units.ofLayer(layer));
    if (layer > 0) {
      fetch(units.ofLayer(layer - 1));
    } else if (part.layers().size() > 1) {
      fetch(units.ofLayer(1)); // for the next batch
    }
  }

  /** Gradients that are left by parts, or only here and there, begin at zero. */
  private void startGradients(int unit) {
    GatherRoom room = room(unit);
    long size = units.get(unit).size();
    if (!DryRun.isOn()) {
      long start = Profile.begin();
      room.awaitTaken(connected().timeout());
      Profile.ended("wait for gradients", start, 0, size * Float.BYTES);
    }
    room.gradients().slice(0, 0, size).clear();
  }

  /** To be called before the head's backward. */
  void startHeadGradients() {
    startGradients(units.last());
    if (units.tied()) {
      startGradients(EMBEDDING);
    }
  }

  void startLayerGradients(int layer) {
    startGradients(units.ofLayer(layer));
  }

  void startEmbeddingGradients() {
    if (!units.tied() || units.lendsEmbedding()) {
      startGradients(EMBEDDING);
    }
  }

  void headGradientsDone(GradientListener listener) {
    done(units.last(), listener);
    if (units.borrowsEmbedding()) {
      done(EMBEDDING, listener);
    }
  }

  void layerGradientsDone(int layer, GradientListener listener) {
    done(units.ofLayer(layer), listener);
  }

  void embeddingGradientsDone(GradientListener listener) {
    done(EMBEDDING, listener);
  }

  private void done(int unit, GradientListener listener) {
    if (!DryRun.isOn()) {
      room(unit).handOver(unit, units.get(unit).size(), listener);
    }
  }

  /**
   * What a batch's forward would ask for, without one.
   *
   * @param training whether the backward follows, and begins with the head
   */
  void accompanyForward(boolean training) {
    if (part.isFirst()) {
      beforeEmbedding();
      afterEmbedding();
    }
    for (int layer = 0; layer < part.layers().size(); layer++) {
      beforeForward(layer);
    }
    if (part.isLast() && !training) {
      beforeHead();
    }
  }

  /** The same of its backward, which leaves no gradients. */
  void accompanyBackward(GradientListener listener) {
    if (part.isLast()) {
      beforeHead();
      listener.complete(units.last(), null);
      if (units.borrowsEmbedding()) {
        listener.complete(EMBEDDING, null);
      }
    }
    for (int layer = part.layers().size() - 1; layer >= 0; layer--) {
      beforeBackward(layer);
      listener.complete(units.ofLayer(layer), null);
    }
    if (part.isFirst()) {
      listener.complete(EMBEDDING, null);
    }
  }

  private void need(int unit) {
    if (DryRun.isOn()) {
      return;
    }
    fetch(unit);
    long start = Profile.begin();
    room(unit).await(connected().timeout());
    Profile.ended("wait for values", start, 0, units.get(unit).size() * type.bytes());
  }

  private Connection connected() {
    if (connection == null) {
      throw new IllegalStateException("a share of a model runs with all others, or not at all");
    }
    return connection;
  }

  /** Sees to it that a unit is there, or on its way. */
  private void fetch(int unit) {
    if (DryRun.isOn() || room(unit).has(unit)) {
      return;
    }
    refresh();
    Connection to = connected();
    room(unit).gather(unit, () -> share(unit), to.ranks(), to.timeout());
  }
}
