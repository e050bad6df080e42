package org.ftcluster.worker.model;

/**
 * Neighbouring indices.
 *
 * @param from inclusive
 * @param to exclusive
 */
public record Span(int from, int to) {
  public Span {
    if (from < 0 || to < from) {
      throw new IllegalArgumentException("[%d, %d)".formatted(from, to));
    }
  }

  /** The {@code part}-th of {@code parts} spans of about the same size that make up [0, size). */
  static Span of(int size, int part, int parts) {
    return new Span(
        Math.toIntExact((long) size * part / parts),
        Math.toIntExact((long) size * (part + 1) / parts));
  }

  public int size() {
    return to - from;
  }

  boolean contains(int index) {
    return index >= from && index < to;
  }

  /** The same so many indices further. */
  Span after(int indices) {
    return new Span(from + indices, to + indices);
  }

  /** Where each of these indices is {@code unit} indices. */
  Span times(int unit) {
    return new Span(from * unit, to * unit);
  }
}
