package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Tensor;

/** Some neighbouring rows and columns of a matrix. */
record Piece(Span rows, Span columns) {
  static Piece whole(int rows, int columns) {
    return new Piece(new Span(0, rows), new Span(0, columns));
  }

  Piece withRows(Span rows) {
    return new Piece(rows, columns);
  }

  Piece withColumns(Span columns) {
    return new Piece(rows, columns);
  }

  /** A look at that part of {@code matrix}. */
  Tensor of(Tensor matrix) {
    return matrix.slice(0, rows.from(), rows.to()).slice(1, columns.from(), columns.to());
  }
}
