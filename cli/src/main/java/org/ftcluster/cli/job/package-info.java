/** Commands about jobs and nodes of a running cluster. */
@NullMarked
package org.ftcluster.cli.job;

import org.jspecify.annotations.NullMarked;
