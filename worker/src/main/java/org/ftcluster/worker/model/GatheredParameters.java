package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.Profile;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.jspecify.annotations.Nullable;

/**
 * What is trained, where each rank has a share of its values only (arXiv:1910.02054, stage 3;
 * arXiv:2304.11277): a {@link ParameterUnit} is put together from all shares when it is about to be
 * used, a layer one layer ahead, in the type that products are computed in. Layers take turns in
 * two rooms, so that each always has the same one; embedding and head share a third. Gradients have
 * the same rooms: a layer's are on their way while those of the next one come about.
 *
 * <p>All ranks make the same calls in the same order. Used by the thread that runs the model.
 */
final class GatheredParameters {
  private static final int NONE = -1;
  private static final int LAYER_ROOMS = 2;

  private final List<ParameterUnit> units;
  private final int shards;
  private final DType type;
  private final boolean tied;
  private final SharedVectors vectors;
  private final List<Room> rooms = new ArrayList<>();
  private final List<GradientRoom> gradientRooms = new ArrayList<>();
  private @Nullable Connection connection;
  private boolean vectorsAreOld = true;

  /** Where units are gathered, one after the other. */
  private static final class Room {
    private final Tensor values;

    /** This rank's share, on its way. */
    private final Tensor share;

    private int unit = NONE;
    private @Nullable Work arrival;

    Room(Tensor values, Tensor share) {
      this.values = values;
      this.share = share;
    }

    void await(Duration timeout) {
      if (arrival != null) {
        arrival.await(timeout);
        arrival = null;
      }
    }
  }

  /** Where units leave their gradients, one after the other. */
  private static final class GradientRoom {
    private final Tensor gradients;

    /** Of the unit that was here last. */
    private @Nullable Work taken;

    GradientRoom(Tensor gradients) {
      this.gradients = gradients;
    }

    void await(Duration timeout) {
      if (taken != null) {
        taken.await(timeout);
        taken = null;
      }
    }
  }

  /**
   * @param shares this rank's, float32, by unit
   */
  private record Connection(
      Communicator ranks, IntFunction<MemorySegment> shares, Duration timeout) {}

  /**
   * @param scope where rooms stay
   * @param units of the whole model
   * @param shards ranks that have one each
   * @param type that matrices are used in
   * @param tied whether the embedding is the head, too
   */
  GatheredParameters(Scope scope, List<ParameterUnit> units, int shards, DType type, boolean tied) {
    this.units = units;
    this.shards = shards;
    this.type = type;
    this.tied = tied;
    this.vectors = new SharedVectors(scope, units, shards);
    for (int room = 0; room <= roomOf(last()) || room <= roomOf(0); room++) {
      long share = 0;
      long size = 0;
      for (int unit = 0; unit < units.size(); unit++) {
        if (roomOf(unit) == room) {
          share = Math.max(share, units.get(unit).share(shards));
          size = Math.max(size, units.get(unit).size());
        }
      }
      rooms.add(new Room(scope.empty(type, share * shards), scope.empty(type, share)));
      gradientRooms.add(new GradientRoom(scope.empty(DType.FLOAT32, size)));
    }
  }

  private int last() {
    return units.size() - 1;
  }

  private int layers() {
    return units.size() - 2;
  }

  private static int unitOf(int layer) {
    return layer + 1;
  }

  private boolean isLayer(int unit) {
    return unit > 0 && unit < last();
  }

  /** A tied head is the embedding, so what is behind the layers can't take its room. */
  private int roomOf(int unit) {
    return isLayer(unit) ? unit % LAYER_ROOMS : LAYER_ROOMS + (unit > 0 && tied ? 1 : 0);
  }

  private int unitOf(ParameterBuffer.Slice slice) {
    for (int unit = 0; unit < units.size(); unit++) {
      if (slice.offset() < units.get(unit).to()) {
        return unit;
      }
    }
    throw new IllegalArgumentException(slice.name());
  }

  /** As the layers use it: a matrix in the type of products, a vector in float32. */
  Tensor value(ParameterBuffer.Slice slice) {
    int unit = unitOf(slice);
    return SharedVectors.isVector(slice)
        ? vectors.value(slice)
        : part(rooms.get(roomOf(unit)).values, unit, slice);
  }

  /** float32. */
  Tensor gradient(ParameterBuffer.Slice slice) {
    int unit = unitOf(slice);
    return part(gradientRooms.get(roomOf(unit)).gradients, unit, slice);
  }

  private Tensor part(Tensor room, int unit, ParameterBuffer.Slice slice) {
    long from = slice.offset() - units.get(unit).from();
    return room.slice(0, from, from + slice.size()).view(slice.shape());
  }

  /** Bytes of all rooms. */
  long bytes() {
    long bytes = vectors.bytes();
    for (Room room : rooms) {
      bytes += (room.values.elements() + room.share.elements()) * type.bytes();
    }
    for (GradientRoom room : gradientRooms) {
      bytes += room.gradients.elements() * Float.BYTES;
    }
    return bytes;
  }

  /**
   * Connects the ranks that hold the shares, for a generation.
   *
   * @param ranks by share
   * @param shares this rank's, float32, by unit; asked for whenever one is needed
   * @param timeout for a unit
   */
  void connect(Communicator ranks, IntFunction<MemorySegment> shares, Duration timeout) {
    if (ranks.size() != shards) {
      throw new IllegalArgumentException("%d ranks for %d shares".formatted(ranks.size(), shards));
    }
    connection = new Connection(ranks, shares, timeout);
    // Of a generation that is over.
    rooms.forEach(room -> room.arrival = null);
    gradientRooms.forEach(room -> room.taken = null);
    changed();
  }

  /** Values are others now: whatever was gathered is old. */
  void changed() {
    vectorsAreOld = true;
    rooms.forEach(room -> room.unit = NONE);
  }

  void beforeEmbedding() {
    need(0);
    fetch(unitOf(0));
  }

  void afterEmbedding() {
    fetch(last());
  }

  void beforeForward(int layer) {
    need(unitOf(layer));
    if (layer + 1 < layers()) {
      fetch(unitOf(layer + 1));
    }
  }

  void beforeHead() {
    need(last());
    if (tied) {
      need(0);
    }
  }

  void beforeBackward(int layer) {
    need(unitOf(layer));
    if (layer > 0) {
      fetch(unitOf(layer - 1));
    } else if (layers() > 1) {
      fetch(unitOf(1)); // for the next batch
    }
  }

  /** Gradients that are left by parts, or only here and there, begin at zero. */
  private void startGradients(int unit) {
    GradientRoom room = gradientRooms.get(roomOf(unit));
    if (!DryRun.isOn()) {
      long start = Profile.begin();
      room.await(connected().timeout());
      Profile.ended("wait for gradients", start, 0, units.get(unit).size() * Float.BYTES);
    }
    room.gradients.slice(0, 0, units.get(unit).size()).clear();
  }

  /** To be called before the head's backward. */
  void startHeadGradients() {
    startGradients(last());
    if (tied) {
      startGradients(0);
    }
  }

  void startLayerGradients(int layer) {
    startGradients(unitOf(layer));
  }

  void startEmbeddingGradients() {
    if (!tied) {
      startGradients(0);
    }
  }

  void headGradientsDone(GradientListener listener) {
    done(last(), listener);
  }

  void layerGradientsDone(int layer, GradientListener listener) {
    done(unitOf(layer), listener);
  }

  void embeddingGradientsDone(GradientListener listener) {
    done(0, listener);
  }

  private void done(int unit, GradientListener listener) {
    if (DryRun.isOn()) {
      return;
    }
    GradientRoom room = gradientRooms.get(roomOf(unit));
    MemorySegment memory = room.gradients.memory();
    room.taken =
        listener.complete(unit, memory.asSlice(0, units.get(unit).size() * Float.BYTES));
  }

  /** What a batch's forward would ask for, without one. */
  void accompanyForward() {
    beforeEmbedding();
    afterEmbedding();
    for (int layer = 0; layer < layers(); layer++) {
      beforeForward(layer);
    }
  }

  /** The same of its backward, which leaves no gradients. */
  void accompanyBackward(GradientListener listener) {
    beforeHead();
    listener.complete(last(), null);
    for (int layer = layers() - 1; layer >= 0; layer--) {
      beforeBackward(layer);
      listener.complete(unitOf(layer), null);
    }
    listener.complete(0, null);
  }

  private void need(int unit) {
    if (DryRun.isOn()) {
      return;
    }
    Room room = fetch(unit);
    long start = Profile.begin();
    room.await(connected().timeout());
    Profile.ended("wait for values", start, 0, units.get(unit).size() * type.bytes());
  }

  private Connection connected() {
    if (connection == null) {
      throw new IllegalStateException("a share of a model runs with all others, or not at all");
    }
    return connection;
  }

  /** Sees to it that a unit is there, or on its way. */
  private Room fetch(int index) {
    Room room = rooms.get(roomOf(index));
    if (DryRun.isOn() || room.unit == index) {
      return room;
    }
    Connection to = connected();
    if (vectorsAreOld) {
      vectors.gather(to.ranks(), to.shares(), to.timeout());
      vectorsAreOld = false;
    }
    room.await(to.timeout());
    long share = units.get(index).share(shards) * type.bytes();
    MemorySegment own = to.shares().apply(index);
    MemorySegment outgoing = room.share.memory().asSlice(0, share);
    if (type == DType.BFLOAT16) {
      RowOps.toBfloat16(outgoing.asSlice(0, own.byteSize() / Float.BYTES * Short.BYTES), own);
    } else {
      MemorySegment.copy(own, 0, outgoing, 0, own.byteSize());
    }
    room.unit = index;
    room.arrival = to.ranks().allGather(outgoing, room.values.memory().asSlice(0, share * shards));
    return room;
  }
}
