package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** Continues prompts a token at a time, many prompts at once, with a key/value cache. */
public final class Generator {
  /** Sequences that grow together: enough to fill the products, few enough for their caches. */
  private static final int BATCH = 32;

  private final CausalLanguageModel model;
  private final Settings settings;

  /**
   * @param maxNewTokens where a sequence ends that doesn't end by itself
   * @param endTokens tokens that end a sequence; they are not part of the result
   */
  public record Settings(int maxNewTokens, Sampling sampling, List<Integer> endTokens) {}

  /** How the next token is chosen. */
  public sealed interface Sampling {
    /** The likeliest token. */
    record Greedy() implements Sampling {}

    /**
     * Drawn from the likeliest tokens that together have probability {@code topP}
     * (arXiv:1904.09751), after dividing the logits by {@code temperature}.
     */
    record Nucleus(double temperature, double topP, long seed) implements Sampling {
      public Nucleus {
        if (!(temperature > 0) || !(topP > 0) || topP > 1) {
          throw new IllegalArgumentException(
              "temperature %s must be above 0, top-p %s in (0, 1]".formatted(temperature, topP));
        }
      }
    }
  }

  public Generator(CausalLanguageModel model, Settings settings) {
    this.model = model;
    this.settings = settings;
  }

  /**
   * The new tokens of each prompt, without the prompt. To be called on the thread that runs the
   * model.
   */
  public List<int[]> generate(List<int[]> prompts) {
    List<int[]> results = new ArrayList<>(prompts.size());
    for (int from = 0; from < prompts.size(); from += BATCH) {
      int to = Math.min(from + BATCH, prompts.size());
      results.addAll(generateTogether(prompts.subList(from, to), from));
    }
    return results;
  }

  private List<int[]> generateTogether(List<int[]> prompts, int first) {
    List<Sequence> sequences = new ArrayList<>();
    for (int i = 0; i < prompts.size(); i++) {
      sequences.add(new Sequence(first + i, room(prompts.get(i))));
    }
    int[] lengths = prompts.stream().mapToInt(prompt -> prompt.length).toArray();
    try (KeyValueCache cache = model.newCache(lengths, settings.maxNewTokens())) {
      TokenBatch batch = batch(prompts, lengths);
      float[][] logits = model.logits(batch, lastRows(lengths), cache);
      List<Sequence> growing = sequences;
      while (true) {
        List<Sequence> before = growing;
        for (int i = 0; i < before.size(); i++) {
          before.get(i).take(logits[i]);
        }
        int[] kept = IntStream.range(0, before.size()).filter(i -> before.get(i).grows()).toArray();
        if (kept.length == 0) {
          return sequences.stream().map(Sequence::tokens).toList();
        }
        growing = Arrays.stream(kept).mapToObj(before::get).toList();
        cache.retain(kept);
        logits = model.decode(growing.stream().mapToInt(Sequence::last).toArray(), cache);
      }
    }
  }

  /** Tokens that may follow a prompt; the last one is never looked at. */
  private int room(int[] prompt) {
    int longest = model.config().longestSequence();
    return (int) Math.min(settings.maxNewTokens(), (long) longest - prompt.length + 1);
  }

  private static TokenBatch batch(List<int[]> prompts, int[] lengths) {
    int[] tokens = prompts.stream().flatMapToInt(Arrays::stream).toArray();
    int[] targets = new int[tokens.length];
    Arrays.fill(targets, TokenBatch.NO_TARGET);
    return new TokenBatch(tokens, targets, lengths);
  }

  private static int[] lastRows(int[] lengths) {
    int[] rows = new int[lengths.length];
    int end = 0;
    for (int i = 0; i < rows.length; i++) {
      end += lengths[i];
      rows[i] = end - 1;
    }
    return rows;
  }

  /** What one prompt has become so far. */
  private final class Sequence {
    private final List<Integer> tokens = new ArrayList<>();
    private final Random random;
    private final int room;
    private boolean ended;

    Sequence(int index, int room) {
      this.room = room;
      long seed =
          switch (settings.sampling()) {
            case Sampling.Greedy greedy -> 0;
            case Sampling.Nucleus nucleus -> nucleus.seed();
          };
      random = new Random(seed * 1_000_003 + index);
    }

    boolean grows() {
      return !ended && tokens.size() < room;
    }

    /** Chooses the next token. */
    void take(float[] logits) {
      int token =
          switch (settings.sampling()) {
            case Sampling.Greedy greedy -> likeliest(logits);
            case Sampling.Nucleus nucleus -> draw(logits, nucleus, random.nextDouble());
          };
      ended = settings.endTokens().contains(token);
      if (!ended) {
        tokens.add(token);
      }
    }

    int last() {
      return tokens.getLast();
    }

    int[] tokens() {
      return tokens.stream().mapToInt(i -> i).toArray();
    }
  }

  private static int likeliest(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      if (logits[i] > logits[best]) {
        best = i;
      }
    }
    return best;
  }

  /**
   * @param point in [0, 1): where in the kept probability the token is taken
   */
  static int draw(float[] logits, Sampling.Nucleus nucleus, double point) {
    Integer[] order = new Integer[logits.length];
    Arrays.setAll(order, i -> i);
    Arrays.sort(order, (a, b) -> Float.compare(logits[b], logits[a]));
    double[] weights = new double[logits.length];
    double total = 0;
    for (int i = 0; i < weights.length; i++) {
      double exponent = (logits[order[i]] - logits[order[0]]) / nucleus.temperature();
      weights[i] = Math.exp(exponent);
      total += weights[i];
    }
    int kept = 0;
    double mass = 0;
    while (kept < weights.length && mass < nucleus.topP() * total) {
      mass += weights[kept++];
    }
    double target = point * mass;
    for (int i = 0; i < kept; i++) {
      target -= weights[i];
      if (target < 0) {
        return order[i];
      }
    }
    return order[kept - 1];
  }
}
