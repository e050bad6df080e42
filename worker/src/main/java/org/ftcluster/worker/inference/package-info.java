/** Using a model in one process: its loss on a data set, and the text it generates. */
@NullMarked
package org.ftcluster.worker.inference;

import org.jspecify.annotations.NullMarked;
