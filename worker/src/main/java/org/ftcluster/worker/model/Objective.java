package org.ftcluster.worker.model;

/** What the losses of a batch's rows come to. */
interface Objective {
  /** The sum of all. */
  Objective SUM =
      new Objective() {
        @Override
        public double total(float[] losses) {
          double sum = 0;
          for (float loss : losses) {
            sum += loss;
          }
          return sum;
        }

        @Override
        public boolean weighs() {
          return false;
        }

        @Override
        public float[] weights(float[] losses) {
          throw new IllegalStateException("all rows count alike");
        }
      };

  double total(float[] losses);

  /** Whether rows don't count alike. */
  boolean weighs();

  /** The derivative of the total by each row's loss, for which all of them have to be known. */
  float[] weights(float[] losses);
}
