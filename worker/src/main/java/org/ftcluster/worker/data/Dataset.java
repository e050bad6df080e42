package org.ftcluster.worker.data;

import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.SampleSource;
import org.ftcluster.worker.model.TokenBatch;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A JSONL file as tokens, all in memory: four bytes a token, eight a sequence and eight an answer.
 * A sample is a line: one sequence, or a pair of two. Its id is its place in the file, from 0, so
 * that every rank means the same by it. Immutable.
 */
public final class Dataset {
  private static final Logger LOG = LoggerFactory.getLogger(Dataset.class);

  /** Samples that are tokenised, and stored, together. */
  private static final int CHUNK = 1024;

  /**
   * Some sequences, their tokens one after the other.
   *
   * @param ends where each sequence's tokens end
   * @param answers as in {@link Sequence}, one sequence's after the other's
   * @param answerEnds where each sequence's answers end
   * @param truncated sequences that were cut
   * @param same pairs of twice the same sequence
   */
  private record Chunk(
      int[] tokens, int[] ends, int[] answers, int[] answerEnds, long truncated, long same) {
    int begin(int index) {
      return index == 0 ? 0 : ends[index - 1];
    }

    int firstAnswer(int index) {
      return index == 0 ? 0 : answerEnds[index - 1];
    }

    int length(int index) {
      return ends[index] - begin(index);
    }

    int targetCount(int index) {
      return Sequence.targetCount(answers, firstAnswer(index), answerEnds[index]);
    }

    Sequence sequence(int index) {
      return new Sequence(
          Arrays.copyOfRange(tokens, begin(index), ends[index]),
          Arrays.copyOfRange(answers, firstAnswer(index), answerEnds[index]));
    }
  }

  private final Path file;
  private final List<Chunk> chunks;
  private final int sequences;
  private final int size;

  private Dataset(Path file, List<Chunk> chunks, int sequences) {
    this.file = file;
    this.chunks = List.copyOf(chunks);
    this.sequences = sequences;
    this.size =
        chunks.stream()
            .mapToInt(chunk -> chunk.ends().length / sequences)
            .reduce(0, Math::addExact);
  }

  /**
   * Reads and tokenises a file.
   *
   * @param maxLength tokens a sample may have; longer ones are cut, and a warning says how many
   * @param threads that tokenise
   * @throws BadJobException for the first line that can't be used
   */
  public static Dataset load(SampleSource source, Tokenizer tokenizer, int maxLength, int threads) {
    SampleEncoder encoder = SampleEncoder.of(source, tokenizer, maxLength);
    ExecutorService workers =
        Executors.newFixedThreadPool(
            threads, Thread.ofPlatform().daemon().name("tokenizer-", 0).factory());
    try (JsonlReader reader = JsonlReader.open(source.path())) {
      Dataset dataset =
          new Dataset(
              source.path(),
              tokenise(reader, encoder, tokenizer, workers, threads),
              source.isPairs() ? 2 : 1);
      if (dataset.size() == 0) {
        throw new BadJobException("%s: there is no sample in this file.".formatted(source.path()));
      }
      dataset.report(maxLength);
      return dataset;
    } finally {
      workers.shutdownNow();
    }
  }

  private static List<Chunk> tokenise(
      JsonlReader reader,
      SampleEncoder encoder,
      Tokenizer tokenizer,
      ExecutorService workers,
      int threads) {
    List<Chunk> chunks = new ArrayList<>();
    Deque<Future<Chunk>> running = new ArrayDeque<>();
    JsonlReader.@Nullable Line line = reader.next();
    while (line != null) {
      List<JsonlReader.Line> lines = new ArrayList<>();
      for (; line != null && lines.size() < CHUNK; line = reader.next()) {
        lines.add(line);
      }
      running.add(workers.submit(() -> chunk(lines, encoder, tokenizer)));
      if (running.size() > 2 * threads) { // text that waits takes more memory than its tokens
        chunks.add(result(running.remove()));
      }
    }
    running.forEach(future -> chunks.add(result(future)));
    return chunks;
  }

  private static Chunk chunk(
      List<JsonlReader.Line> lines, SampleEncoder encoder, Tokenizer tokenizer) {
    int[] tokens = new int[64 * lines.size()];
    int[] ends = new int[2 * lines.size()];
    int[] answers = new int[2 * lines.size()];
    int[] answerEnds = new int[2 * lines.size()];
    int count = 0;
    int end = 0;
    int answerEnd = 0;
    long truncated = 0;
    long same = 0;
    for (JsonlReader.Line line : lines) {
      List<SampleEncoder.Encoded> sample = encoder.encode(line);
      for (SampleEncoder.Encoded sequence : sample) {
        check(line, tokenizer.stranger(sequence.tokens()));
        tokens = appended(tokens, end, sequence.tokens());
        end += sequence.tokens().length;
        ends[count] = end;
        answers = appended(answers, answerEnd, sequence.answers());
        answerEnd += sequence.answers().length;
        answerEnds[count++] = answerEnd;
        truncated += sequence.truncated() ? 1 : 0;
      }
      boolean isPair = sample.size() == 2;
      same += isPair && Arrays.equals(sample.get(0).tokens(), sample.get(1).tokens()) ? 1 : 0;
    }
    return new Chunk(
        Arrays.copyOf(tokens, end),
        Arrays.copyOf(ends, count),
        Arrays.copyOf(answers, answerEnd),
        Arrays.copyOf(answerEnds, count),
        truncated,
        same);
  }

  private static void check(JsonlReader.Line line, Optional<String> stranger) {
    if (stranger.isPresent()) {
      throw new BadJobException(
          "%s: there is %s in it, for which the model has no embedding."
              .formatted(line.where(), stranger.get()));
    }
  }

  /** Puts values at a place, in a longer array where they don't fit. */
  private static int[] appended(int[] values, int at, int[] more) {
    int needed = at + more.length;
    int[] all = needed <= values.length ? values : Arrays.copyOf(values, Math.max(2 * at, needed));
    System.arraycopy(more, 0, all, at, more.length);
    return all;
  }

  private static Chunk result(Future<Chunk> future) {
    try {
      return future.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof BadJobException problem) {
        throw problem;
      }
      throw new IllegalStateException("tokenising failed", e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw (CancellationException)
          new CancellationException("reading data was interrupted").initCause(e);
    }
  }

  private void report(int maxLength) {
    long tokens = chunks.stream().mapToLong(chunk -> chunk.tokens().length).sum();
    long truncated = chunks.stream().mapToLong(Chunk::truncated).sum();
    LOG.info("{}: {} {}, {} tokens", file, size, sequences == 2 ? "pairs" : "samples", tokens);
    if (truncated > 0) {
      LOG.warn(
          "{}: {} of {} sequences are longer than max_length, {} tokens; what is beyond is cut",
          file,
          truncated,
          size * sequences,
          maxLength);
    }
    long same = chunks.stream().mapToLong(Chunk::same).sum();
    if (same > 0) {
      LOG.warn(
          "{}: {} of {} pairs are twice the same, so there is nothing to compare",
          file,
          same,
          size);
    }
  }

  /** Samples; their ids are 0 up to this. */
  public int size() {
    return size;
  }

  /** Of each sample: 1, or of pairs 2. */
  public int sequences() {
    return sequences;
  }

  /** Tokens of a sample. */
  public int length(int id) {
    int length = 0;
    for (int i = id * sequences; i < (id + 1) * sequences; i++) {
      length += chunkOf(i).length(indexInChunk(i));
    }
    return length;
  }

  /** Tokens of a sample that carry a loss; at least one a sequence. */
  public int targetCount(int id) {
    int count = 0;
    for (int i = id * sequences; i < (id + 1) * sequences; i++) {
      count += chunkOf(i).targetCount(indexInChunk(i));
    }
    return count;
  }

  /**
   * One of all.
   *
   * @param index of pairs the one with the better answer has an even one
   */
  public Sequence sequence(int index) {
    return chunkOf(index).sequence(indexInChunk(index));
  }

  /** Some samples laid end to end, in this order. */
  public TokenBatch batch(int[] ids) {
    int total = Arrays.stream(ids).map(this::length).reduce(0, Math::addExact);
    int[] tokens = new int[total];
    int[] targets = new int[total];
    int[] lengths = new int[ids.length * sequences];
    int begin = 0;
    for (int i = 0; i < lengths.length; i++) {
      Sequence sequence = sequence(ids[i / sequences] * sequences + i % sequences);
      int length = sequence.tokens().length;
      System.arraycopy(sequence.tokens(), 0, tokens, begin, length);
      Arrays.fill(targets, begin, begin + length, TokenBatch.NO_TARGET);
      // Position p answers for token p + 1: what is before an answer for its first token.
      for (int answer = 0; answer < sequence.answers().length; answer += 2) {
        int first = Math.max(1, sequence.answers()[answer]);
        int count = sequence.answers()[answer + 1] - first;
        System.arraycopy(sequence.tokens(), first, targets, begin + first - 1, count);
      }
      lengths[i] = length;
      begin += length;
    }
    return new TokenBatch(tokens, targets, lengths);
  }

  private Chunk chunkOf(int sequence) {
    return chunks.get(sequence / (CHUNK * sequences));
  }

  private int indexInChunk(int sequence) {
    return sequence % (CHUNK * sequences);
  }
}
