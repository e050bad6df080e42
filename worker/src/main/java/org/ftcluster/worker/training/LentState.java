package org.ftcluster.worker.training;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.List;
import org.ftcluster.worker.checkpoint.StateContent;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.model.FloatSource;
import org.ftcluster.worker.optimizer.OptimizerState;
import org.ftcluster.worker.optimizer.OptimizerState.Piece;
import org.ftcluster.worker.optimizer.Shard;
import org.ftcluster.worker.optimizer.ShardLayout;
import org.ftcluster.worker.safetensors.PieceSink;
import org.ftcluster.worker.tensor.FiledMemory;
import org.jspecify.annotations.Nullable;

/**
 * The state of ranks that share it out, as rank 0 reads it to write it down: it asks whoever has
 * some parameters for a piece of them, while it uses the piece before, and all others answer until
 * it has what it wants. So it needs room for two pieces, however large the state is, and nothing
 * changes meanwhile.
 *
 * <p>Rank 0 may read from another thread than the rank's, one at a time.
 */
final class LentState {
  /** Pieces that rank 0 has room for: one that is used, and one on its way. */
  private static final int ROOMS = 2;

  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

  /** Of a question: what of, from which parameter, to which. */
  private static final int WORDS = 3;

  /** Instead of a content: that there are no more questions. */
  private static final long ENOUGH = -1;

  /** Instead of a content: that it goes on, though others are asked. */
  private static final long GOES_ON = -2;

  /** Pieces after which all hear that. */
  private static final int PIECES_BETWEEN = 64;

  private final Communicator ranks;
  private final ShardLayout layout;
  private final OptimizerState state;
  private final long pieceSize;
  private final Duration timeout;

  /** Freed when nothing can write to it any more. */
  private final Arena arena = Arena.ofAuto();

  private @Nullable MemorySegment rooms;
  private int pieces;

  /**
   * @param ranks that hold all of the state between them
   * @param state of this rank's shards
   * @param pieceSize the most parameters of a piece
   */
  LentState(
      Communicator ranks,
      ShardLayout layout,
      OptimizerState state,
      long pieceSize,
      Duration timeout) {
    this.ranks = ranks;
    this.layout = layout;
    this.state = state;
    this.pieceSize = pieceSize;
    this.timeout = timeout;
  }

  /** What rank 0 reads, until it calls {@link #giveBack}. */
  FloatSource source(StateContent content) {
    return (from, to, sink) -> read(content, from, to, sink);
  }

  private void read(StateContent content, long from, long to, PieceSink sink) throws IOException {
    Lent here = from < to ? ask(content, from, to, 0) : null;
    await(here);
    for (int room = 1; here != null; room = (room + 1) % ROOMS) {
      long end = here.part().to();
      Lent next = end < to ? ask(content, end, to, room) : null;
      try {
        sink.take(here.bytes());
      } finally {
        await(next); // whatever happened: its room is used again
      }
      FiledMemory.letGo(here.bytes());
      here = next;
    }
  }

  /**
   * Some parameters' numbers, or the room that they come to.
   *
   * @param exchange null where they are this rank's own
   */
  private record Lent(Shard part, MemorySegment bytes, @Nullable Exchange exchange) {}

  private record Exchange(Work question, Work answer) {
    void await(Duration timeout) {
      question.await(timeout);
      answer.await(timeout);
    }
  }

  private Lent ask(StateContent content, long from, long to, int room) {
    int owner = layout.ownerOf(from);
    Shard own = layout.of(layout.unitOf(from), owner);
    Shard part = new Shard(from, Math.min(Math.min(to, own.to()), from + pieceSize));
    if (owner == ranks.rank()) {
      return new Lent(part, own(content, part), null);
    }
    if (++pieces % PIECES_BETWEEN == 0) {
      tellAll(GOES_ON);
    }
    MemorySegment bytes = room(room).asSlice(0, part.size() * Float.BYTES);
    Work question = ranks.send(words(content.ordinal(), part.from(), part.to()), owner);
    return new Lent(part, bytes, new Exchange(question, ranks.recv(bytes, owner)));
  }

  private void await(@Nullable Lent lent) {
    if (lent != null && lent.exchange() != null) {
      lent.exchange().await(timeout);
    }
  }

  private MemorySegment room(int index) {
    if (rooms == null) {
      rooms = arena.allocate(ROOMS * pieceSize * Float.BYTES, 64);
    }
    return rooms.asSlice(index * pieceSize * Float.BYTES, pieceSize * Float.BYTES);
  }

  private MemorySegment words(long... words) {
    MemorySegment message = Arena.ofAuto().allocate(LONG, WORDS);
    MemorySegment.copy(words, 0, message, LONG, 0, words.length);
    return message;
  }

  /** Rank 0 has what it wants: all others go on. */
  void giveBack() {
    tellAll(ENOUGH);
  }

  private void tellAll(long word) {
    MemorySegment message = words(word);
    for (int rank = 1; rank < ranks.size(); rank++) {
      ranks.send(message, rank).await(timeout);
    }
  }

  /** On all ranks but 0: answers until that has what it wants. */
  void lend() {
    MemorySegment question = words();
    while (true) {
      ranks.recv(question, 0).await(timeout);
      long content = question.getAtIndex(LONG, 0);
      if (content == ENOUGH) {
        return;
      }
      if (content != GOES_ON) {
        Shard part = new Shard(question.getAtIndex(LONG, 1), question.getAtIndex(LONG, 2));
        MemorySegment bytes = own(StateContent.values()[(int) content], part);
        ranks.send(bytes, 0).await(timeout);
        FiledMemory.letGo(bytes);
      }
    }
  }

  private MemorySegment own(StateContent content, Shard part) {
    List<Piece> pieces = state.ownPieces();
    Piece piece = pieces.get(layout.unitOf(part.from()));
    MemorySegment all =
        switch (content) {
          case VALUE -> piece.values();
          case FIRST_MOMENT -> piece.firstMoment();
          case SECOND_MOMENT -> piece.secondMoment();
        };
    return part.in(all, piece.shard().from());
  }
}
