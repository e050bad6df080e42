package org.ftcluster.worker.model;

/** What training begins from. */
@FunctionalInterface
interface InitialValues {
  /** Writes all values of {@code parameters}, a function of the seed. */
  void write(ParameterBuffer parameters, long seed);
}
