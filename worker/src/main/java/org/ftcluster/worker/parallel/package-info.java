/** How the ranks of a generation divide a model and a step among them. */
@NullMarked
package org.ftcluster.worker.parallel;

import org.jspecify.annotations.NullMarked;
